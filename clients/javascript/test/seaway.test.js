import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import { SeawayError, connect, version } from "../src/seaway.js";
import { FakeServer } from "./support/server.js";

const addressFrom = (page, ...args) => {
  const server = new FakeServer();
  server.page.location = page && { href: page };
  server.connect(...args);
  return server.socket.url;
};

describe("the address", () => {
  const page = "https://example.org/events/7/?x=1#top";
  const cases = [
    ["by default /seaway/ of the page's origin", page, undefined, "wss://example.org/seaway/"],
    ["without TLS as the page", "http://127.0.0.1:80/", undefined, "ws://127.0.0.1/seaway/"],
    ["a path", page, "/live/", "wss://example.org/live/"],
    ["another origin", page, "https://live.example.org/seaway/", "wss://live.example.org/seaway/"],
    ["ws as it is", page, "ws://localhost:9/seaway/?a=1", "ws://localhost:9/seaway/?a=1"],
    ["a fragment is dropped", page, "/live/#x", "wss://example.org/live/"],
    ["a URL object", page, new URL("wss://example.net/s/"), "wss://example.net/s/"],
    ["outside a page", undefined, "http://localhost:8000/seaway/", "ws://localhost:8000/seaway/"],
  ];
  for (const [name, from, url, address] of cases) {
    test(name, () => assert.equal(addressFrom(from, url), address));
  }

  test("outside a page one is needed", () => {
    assert.throws(() => addressFrom(undefined), /needs the server's address/);
  });

  test("ftp cannot be used", () => {
    assert.throws(() => addressFrom(page, "ftp://example.org/"), /cannot use .*ftp:/);
  });
});

test("the options may be the only argument", () => {
  const server = new FakeServer();
  class Socket {
    constructor(url, protocols) {
      server.sockets.push({ url, protocols });
    }
  }
  connect({ WebSocket: Socket, window: server.page, clock: server.clock });
  const [{ url, protocols }] = server.sockets;
  assert.deepEqual([url, protocols], ["wss://example.org/seaway/", ["seaway.v1"]]);
});

test("without a WebSocket the error says what to do", () => {
  const nothing = { window: {} };
  assert.throws(() => connect("ws://localhost/", nothing), /connect\(url, \{ WebSocket \}\)/);
});

test("an error has a code, a message and data", () => {
  const error = new SeawayError("taken", "Seat 12 is taken.", { seat: 12 });
  assert.ok(error instanceof Error);
  assert.equal(String(error), "SeawayError: Seat 12 is taken.");
  assert.deepEqual([error.code, error.data], ["taken", { seat: 12 }]);
});

test("the version is the package's", () => {
  const file = new URL("../package.json", import.meta.url);
  assert.equal(version, JSON.parse(readFileSync(file, "utf8")).version);
});
