import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { EventStreamParser } from "../src/transports/event-stream.js";

function read(...pieces) {
  const events = [];
  let comments = 0;
  const parser = new EventStreamParser(
    (name, data) => events.push([name, data]),
    () => (comments += 1),
  );
  for (const piece of pieces) parser.feed(piece);
  return { events, comments };
}

describe("an event stream", () => {
  const cases = [
    ["a message", "data: a\n\n", [["message", "a"]]],
    ["a name", "event: tick\ndata: 1\n\n", [["tick", "1"]]],
    ["the name is for one event", "event: t\ndata: 1\n\ndata: 2\n\n", [["t", "1"], ["message", "2"]]],
    ["several lines", "data: a\ndata\ndata: b\n\n", [["message", "a\n\nb"]]],
    ["empty data is an event", "data\n\n", [["message", ""]]],
    ["no data is none", "event: t\n\ndata: 1\n\n", [["message", "1"]]],
    ["one space is taken away", "data:  a\n\ndata:b\n\n", [["message", " a"], ["message", "b"]]],
    ["CR and CRLF", "data: a\rdata: b\r\n\r\ndata: c\r\r", [["message", "a\nb"]]],
    ["what is not finished is not dispatched", "data: a\n", []],
    ["unknown fields", "id: 1\nretry: 2\nfoo: 3\ndata: a\n\n", [["message", "a"]]],
    ["a byte order mark", "\uFEFFdata: a\n\n", [["message", "a"]]],
  ];
  for (const [name, text, expected] of cases) {
    test(name, () => assert.deepEqual(read(text).events, expected));
  }

  test("comments are counted, not dispatched", () => {
    assert.deepEqual(read(":\n\n: hello\n\n"), { events: [], comments: 2 });
  });

  test("it may be cut anywhere", () => {
    const text = "\uFEFFevent: tick\r\ndata: Grüße\r\ndata: 🌊\r\n\r\n:\n\ndata: 2\n\n";
    const whole = read(text);
    assert.deepEqual(whole.events, [["tick", "Grüße\n🌊"], ["message", "2"]]);
    for (let cut = 0; cut <= text.length; cut += 1) {
      assert.deepEqual(read(text.slice(0, cut), text.slice(cut)), whole, `cut at ${cut}`);
    }
    assert.deepEqual(read(...text), whole);
  });
});
