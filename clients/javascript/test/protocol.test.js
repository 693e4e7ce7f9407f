import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { BadMessage, decode, encode, isTopicName } from "../src/protocol.js";
import { vectors } from "./support/vectors.js";

/** The members of `actual` that `expected` has too: a client may keep members it does not know. */
const known = (actual, expected) =>
  Object.fromEntries(Object.keys(expected).map((name) => [name, actual[name]]));

describe("server messages", () => {
  for (const { name, text, decoded } of vectors.server_messages) {
    test(name, () => {
      const message = decode(text);
      if (decoded === null) assert.equal(message, null);
      else assert.deepEqual(known(message, decoded), decoded);
    });
  }
});

describe("what no server may send", () => {
  for (const { name, text } of vectors.invalid_server_messages) {
    test(name, () => assert.throws(() => decode(text), BadMessage));
  }

  test("a binary message", () => assert.throws(() => decode(new ArrayBuffer(2)), BadMessage));

  test("the names of object's own methods are unknown types, not shapes", () => {
    assert.equal(decode('{"type":"constructor"}'), null);
    assert.equal(decode('{"type":"__proto__"}'), null);
  });
});

describe("client messages", () => {
  for (const { name, valid, decoded } of vectors.client_messages) {
    if (valid) test(name, () => assert.deepEqual(JSON.parse(encode(decoded)), decoded));
  }
});

describe("names of topics", () => {
  for (const { name, valid, decoded } of vectors.client_messages) {
    if (valid && decoded.topic) test(name, () => assert.ok(isTopicName(decoded.topic)));
  }

  const illegal = {
    nothing: "",
    space: "a b",
    quote: 'a"b',
    backslash: "a\\b",
    long: "t".repeat(201),
    control: "a\u0007",
    newline: "a\n",
    accent: "é",
    number: 7,
    null: null,
  };
  for (const [name, value] of Object.entries(illegal)) {
    test(`not ${name}`, () => assert.equal(isTopicName(value), false));
  }
});
