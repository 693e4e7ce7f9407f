import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { beforeEach, describe, test } from "node:test";

import { FakeServer, WELCOME, reported, settled } from "./support/server.js";

let server;
let connection;
let states;

beforeEach(() => {
  server = new FakeServer();
  connection = server.connect();
  states = [];
  connection.on("state", (state, details) => states.push({ state, ...details }));
});

const names = () => states.map(({ state }) => state);

describe("connecting", () => {
  test("it begins at once and offers the subprotocol", () => {
    assert.equal(connection.state, "connecting");
    assert.equal(server.sockets.length, 1);
    assert.deepEqual(server.socket.protocols, ["seaway.v1"]);
  });

  test("the welcome makes it open", () => {
    server.welcome();
    const details = { attempt: 0, retryIn: null, code: null, reason: "" };
    assert.deepEqual(states, [{ state: "open", ...details }]);
  });

  test("no welcome in 20 s: lost", () => {
    server.clock.advance(20_000);
    assert.equal(server.socket.hungUp, "none");
    assert.deepEqual(names(), ["waiting"]);
    assert.equal(states[0].reason, "no welcome in 20000 ms");
  });

  test("a handshake that fails: waiting, with how long and why", () => {
    server.close(1006, "");
    const details = { attempt: 1, retryIn: 250, code: 1006, reason: "" };
    assert.deepEqual(states, [{ state: "waiting", ...details }]);
  });

  test("a final code: closed", () => {
    server.close(4501, "no common version");
    assert.equal(connection.state, "closed");
    assert.equal(states[0].reason, "no common version");
  });

  test("close()", () => {
    connection.close();
    assert.equal(server.socket.hungUp, 1000);
    assert.deepEqual(names(), ["closed"]);
  });

  test("reconnect() leaves the attempt alone that is being made", () => {
    connection.reconnect();
    assert.equal(server.sockets.length, 1);
    assert.deepEqual(states, []);
  });

  test("a WebSocket that cannot even be made throws from connect()", () => {
    class Insecure {
      constructor() {
        throw new Error("SecurityError");
      }
    }
    const options = { WebSocket: Insecure };
    assert.throws(() => server.connect("ws://example.org/", options), /SecurityError/);
  });
});

describe("open", () => {
  beforeEach(() => {
    server.welcome();
    states.length = 0;
  });

  test("lost: waiting, then connecting, then open", () => {
    server.close(1006);
    server.clock.advance(250);
    server.welcome();
    assert.deepEqual(names(), ["waiting", "connecting", "open"]);
    assert.equal(server.sockets.length, 2);
  });

  test("a final code: closed, and no timer stays", () => {
    server.close(4500, "bad message");
    const details = { attempt: 0, retryIn: null, code: 4500, reason: "bad message" };
    assert.deepEqual(states, [{ state: "closed", ...details }]);
    assert.equal(server.clock.pending, 0);
  });

  test("close(): closed, and no timer stays", () => {
    connection.close();
    assert.equal(server.socket.hungUp, 1000);
    assert.deepEqual(names(), ["closed"]);
    assert.equal(server.clock.pending, 0);
  });

  test("reconnect(): a new socket at once", () => {
    connection.reconnect();
    assert.equal(server.sockets[0].hungUp, 1000);
    assert.deepEqual(names(), ["connecting"]);
    server.welcome();
    assert.equal(connection.state, "open");
  });

  test("a second welcome changes nothing", () => {
    server.send(WELCOME);
    assert.deepEqual(states, []);
  });

  test("what an old socket still says is not heard", () => {
    const [old] = server.sockets;
    connection.reconnect();
    assert.equal(old.onmessage, null);
    assert.equal(old.onclose, null);
  });

  test("a page that comes online asks whether the socket is still alive", () => {
    server.page.goOnline();
    assert.deepEqual(server.take(), [{ type: "ping" }]);
    server.clock.advance(10_000);
    assert.equal(server.socket.hungUp, 4001);
    assert.deepEqual(names(), ["waiting"]);
  });

  test("what the server must not send closes with 4500, and says what it was", () => {
    server.send("<html>");
    assert.equal(server.socket.hungUp, 4500);
    assert.equal(states[0].reason, "the server sent a message that is not JSON");
  });
});

describe("waiting", () => {
  beforeEach(() => {
    server.welcome();
    server.close(1006);
    states.length = 0;
  });

  test("close(): closed, and nothing happens later", () => {
    connection.close();
    server.clock.advance(60_000);
    assert.deepEqual(names(), ["closed"]);
    assert.equal(server.sockets.length, 1);
  });

  test("reconnect(): at once, and the timer does not connect again", () => {
    connection.reconnect();
    server.clock.advance(1_000);
    assert.deepEqual(names(), ["connecting"]);
    assert.equal(server.sockets.length, 2);
  });

  test("online: at once", () => {
    server.page.goOnline();
    assert.deepEqual(names(), ["connecting"]);
  });

  test("a page that is shown: at once; one that is hidden: not", () => {
    server.page.show("hidden");
    assert.deepEqual(names(), []);
    server.page.show("visible");
    assert.deepEqual(names(), ["connecting"]);
  });

  test("each attempt that fails doubles the bound of the delay, up to 30 s", () => {
    server.clock.advance(250);
    server.close(1006);
    for (let attempt = 2; attempt < 9; attempt += 1) {
      server.clock.advance(states.at(-1).retryIn);
      server.close(1006);
    }
    const waits = states.filter(({ state }) => state === "waiting").map(({ retryIn }) => retryIn);
    assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  });

  test("a server that welcomes and drops at once does not start the back-off afresh", () => {
    server.clock.advance(250);
    server.welcome();
    server.close(1011);
    assert.equal(states.at(-1).retryIn, 500);
  });

  test("a connection that held for 5 s does", () => {
    server.clock.advance(250);
    server.welcome();
    server.clock.advance(5_000);
    server.close(1011);
    assert.equal(states.at(-1).retryIn, 250);
    assert.equal(states.at(-1).attempt, 1);
  });
});

for (const [code, delay] of [[1012, 2_500], [1013, 12_500]]) {
  test(`${code}: the server chose the delay; only the application shortens it`, () => {
    server.welcome();
    server.close(code);
    assert.equal(states.at(-1).retryIn, delay);
    server.page.goOnline();
    server.page.show("visible");
    assert.equal(connection.state, "waiting");
    connection.reconnect();
    assert.equal(connection.state, "connecting");
  });
}

describe("closed", () => {
  beforeEach(() => {
    server.welcome();
    connection.close();
    states.length = 0;
  });

  test("close() again changes nothing", () => {
    connection.close();
    assert.deepEqual(states, []);
  });

  test("online and shown change nothing", () => {
    server.page.goOnline();
    server.page.show("visible");
    assert.equal(server.sockets.length, 1);
  });

  test("the page is not listened to any more", () => {
    assert.equal(getEventListeners(server.page, "online").length, 0);
    assert.equal(getEventListeners(server.page.document, "visibilitychange").length, 0);
  });

  test("reconnect(): as if it had been lost", () => {
    connection.reconnect();
    server.welcome();
    assert.deepEqual(names(), ["connecting", "open"]);
    server.close(1006);
    server.page.goOnline();
    assert.equal(connection.state, "connecting");
  });

  test("a WebSocket that cannot be made any more: the error is thrown, the state is closed", () => {
    server.page.location = null;
    class Once {
      static made = false;
      constructor() {
        if (Once.made) throw new Error("SecurityError");
        Once.made = true;
      }
      close() {}
    }
    const other = server.connect("wss://example.org/", { WebSocket: Once });
    other.close();
    assert.throws(() => other.reconnect(), /SecurityError/);
    assert.equal(other.state, "closed");
  });
});

describe("callbacks", () => {
  test("one that changes the state is told in order, as is everybody", () => {
    connection.on("state", (state) => state === "waiting" && connection.close());
    const after = [];
    connection.on("state", (state) => after.push(state));
    server.welcome();
    server.close(1006);
    assert.deepEqual(names(), ["open", "waiting", "closed"]);
    assert.deepEqual(after, ["open", "waiting", "closed"]);
    assert.equal(server.clock.pending, 0);
  });

  test("close() while connecting anew is announced: no socket is opened", () => {
    connection.on("state", (state) => state === "connecting" && connection.close());
    server.close(1006);
    server.clock.advance(60_000);
    assert.deepEqual(names(), ["waiting", "connecting", "closed"]);
    assert.equal(server.sockets.length, 1);
  });

  test("one that throws breaks nothing", async () => {
    connection.on("state", () => {
      throw new Error("the application's own");
    });
    const errors = await reported(() => {
      server.welcome();
      server.close(1006);
      server.clock.advance(250);
      server.welcome();
    });
    assert.equal(connection.state, "open");
    assert.equal(errors.length, 4);
  });

  test("one that was taken back is not called", () => {
    let calls = 0;
    connection.on("state", () => (calls += 1))();
    server.welcome();
    assert.equal(calls, 0);
  });
});

describe("topics", () => {
  test("the same object for the same name", () => {
    assert.equal(connection.topic("a"), connection.topic("a"));
    assert.notEqual(connection.topic("a"), connection.topic("b"));
    assert.equal(connection.topic("a").name, "a");
  });

  test("an illegal name is refused at once", () => {
    assert.throws(() => connection.topic("a b"), /"a b" cannot be the name of a topic/);
  });

  test("an event for a topic that nobody asked for is ignored", async () => {
    server.welcome();
    server.send({ type: "event", topic: "b", offset: 1, event: "e", data: null });
    await settled();
    assert.equal(connection.state, "open");
  });
});
