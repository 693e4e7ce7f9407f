import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { FakeHttpServer } from "./support/http.js";
import { settled } from "./support/server.js";

const WELCOME = { type: "welcome", version: 1, connection: "c1", ping: 25_000 };
const KEY = "seaway.transport wss://example.org/seaway/";

class FakeStorage extends Map {
  getItem = (key) => this.get(key) ?? null;
  setItem = (key, value) => this.set(key, value);
  removeItem = (key) => this.delete(key);
}

let server;
let connection;
let states;

function connect(options) {
  states = [];
  connection = server.connect(undefined, options);
  connection.on("state", (state) => states.push(state));
}

beforeEach(() => {
  server = new FakeHttpServer();
  server.page.sessionStorage = new FakeStorage();
  connect();
});

/** The transport of the newest connection, by what it looks like. */
const newest = () => {
  const { socket } = server;
  if (socket.protocols) return "websocket";
  return socket.poll ? "polling" : "sse";
};

async function welcome() {
  await settled();
  server.send(WELCOME);
  await settled();
}

async function due() {
  await settled();
  server.clock.advance(2_000);
  await settled();
}

async function pass(ms, steps = 20) {
  for (let step = 0; step < steps; step += 1) {
    await settled();
    server.clock.advance(ms / steps);
  }
  await settled();
}

/** A WebSocket fails twice, and the event stream is open. */
async function fallen() {
  server.close(1006);
  await due();
  server.close(1006);
  await due();
  await welcome();
  assert.equal(newest(), "sse");
}

const openSockets = () => server.sockets.filter(({ hungUp }) => !hungUp);

describe("down", () => {
  test("a handshake that fails twice", async () => {
    server.close(1006);
    await due();
    assert.equal(newest(), "websocket");
    server.close(1006);
    assert.equal(connection.transport, "sse");
    await due();
    assert.equal(newest(), "sse");
    await welcome();
    assert.equal(connection.state, "open");
  });

  test("a socket that dies right after opening, twice", async () => {
    for (let times = 0; times < 2; times += 1) {
      await welcome();
      server.clock.advance(4_000);
      server.close(1006);
      await due();
    }
    assert.equal(newest(), "sse");
  });

  test("a socket that holds for a while is no failure", async () => {
    for (let times = 0; times < 4; times += 1) {
      await welcome();
      server.clock.advance(5_000);
      server.close(1006);
      await due();
    }
    assert.equal(newest(), "websocket");
  });

  test("what the server says itself is no failure", async () => {
    for (const code of [1011, 1012, 1001, 4000]) {
      await welcome();
      server.close(code);
      server.clock.advance(10_000);
      await settled();
    }
    assert.equal(newest(), "websocket");
  });

  test("a handshake without any answer: at once, and sooner than usual", async () => {
    server.clock.advance(10_000);
    assert.deepEqual(states, ["waiting"]);
    assert.equal(connection.transport, "sse");
  });

  test("pings that are swallowed soon after the start, twice", async () => {
    for (let times = 0; times < 2; times += 1) {
      await welcome();
      server.clock.advance(35_000);
      await due();
    }
    assert.equal(newest(), "sse");
  });

  test("a stream that never says anything: polling", async () => {
    await fallen();
    server.close(1006);
    await due();
    server.clock.advance(10_000);
    assert.equal(connection.transport, "polling");
    await due();
    assert.equal(newest(), "polling");
    await welcome();
    assert.equal(connection.state, "open");
  });

  test("below the last is the first again", async () => {
    await fallen();
    for (let times = 0; times < 2; times += 1) {
      server.fails.sse.push(503);
      server.close(1006);
      await pass(4_000);
    }
    for (let times = 0; times < 2 && connection.transport === "polling"; times += 1) {
      server.fails.poll.push(404, 404);
      server.close(1006);
      await pass(8_000);
    }
    assert.equal(connection.transport, "websocket");
  });

  test("an offline page blames no transport", async () => {
    server.page.navigator = { onLine: false };
    for (let times = 0; times < 5; times += 1) {
      server.close(1006);
      server.clock.advance(30_000);
      await settled();
    }
    assert.equal(connection.transport, "websocket");
  });
});

describe("options", () => {
  test("transports fixes the list and its order", async () => {
    connect({ transports: ["polling", "websocket"] });
    await settled();
    assert.equal(newest(), "polling");
  });

  test("an unknown transport is refused", () => {
    assert.throws(() => connect({ transports: ["carrier pigeon"] }), /no transport "carrier pigeon"/);
  });

  test("what cannot be had here is left out", async () => {
    server.page.fetch = server.fetch;
    server.connect(undefined, { WebSocket: undefined, fetch: undefined });
    await settled();
    assert.equal(newest(), "sse");
  });

  test("nothing left: the error says what to pass", () => {
    const window = { location: server.page.location };
    const wanted = { window, fetch: undefined, transports: ["sse", "polling"] };
    assert.throws(() => connect(wanted), /pass what is missing/);
  });
});

describe("memory", () => {
  const remembered = () => JSON.parse(server.page.sessionStorage.getItem(KEY) ?? "[null]")[0];

  test("what held is remembered, and the next page begins with it", async () => {
    await fallen();
    assert.equal(remembered(), null);
    await pass(5_000);
    assert.equal(remembered(), "sse");
    connect();
    await settled();
    assert.equal(newest(), "sse");
  });

  test("not for long", async () => {
    const old = JSON.stringify(["polling", Date.now() - 11 * 60_000]);
    server.page.sessionStorage.setItem(KEY, old);
    connect();
    assert.equal(newest(), "websocket");
  });

  for (const nonsense of ["{", "null", "[]", '["pigeon", 1]', `["pigeon", ${Date.now()}]`]) {
    test(`nonsense is ignored: ${nonsense}`, () => {
      server.page.sessionStorage.setItem(KEY, nonsense);
      connect();
      assert.equal(newest(), "websocket");
    });
  }

  test("a storage that is forbidden is done without", async () => {
    Object.defineProperty(server.page, "sessionStorage", {
      get() {
        throw new Error("SecurityError");
      },
    });
    connect();
    await fallen();
    await pass(5_000);
    assert.equal(connection.state, "open");
  });
});

describe("up", () => {
  let topic;
  let heard;
  const joined = (id, offset, recovered) => ({
    type: "joined", id, topic: "a", epoch: "k", offset, recovered, data: null,
  });
  const event = (offset) => ({ type: "event", topic: "a", offset, event: "e", data: offset });

  /** Time passes while the server's heartbeats keep the stream alive. */
  async function live(stream, ms) {
    for (let left = ms; left > 0; left -= 10_000) {
      stream.write(":\n\n");
      await pass(Math.min(left, 10_000), 10);
    }
  }

  beforeEach(async () => {
    await fallen();
    topic = connection.topic("a");
    heard = [];
    topic.on("e", (data) => heard.push(data));
    topic.join();
    await settled();
    server.send(joined(1, 0, false));
    await pass(5_000);
    server.take();
    states.length = 0;
  });

  test("a better transport is tried in the background, and taken when it holds", async () => {
    const stream = server.socket;
    server.send(event(1));
    await live(stream, 60_000);
    const candidate = server.socket;
    assert.equal(newest(), "websocket");
    assert.equal(connection.transport, "sse");
    await welcome();
    stream.say(JSON.stringify(event(2)));
    await pass(4_900, 49);
    assert.equal(stream.hungUp, null);
    await pass(200, 2);
    assert.equal(connection.transport, "websocket");
    assert.ok(stream.hungUp);
    const [join] = candidate.sent;
    assert.deepEqual(join.since, { epoch: "k", offset: 2 });
    server.send(joined(join.id, 2, true), event(3));
    await pass(1);
    assert.deepEqual(heard, [1, 2, 3]);
    assert.deepEqual(states, [], "the application is not troubled");
    assert.equal(topic.state, "joined");
    assert.equal(openSockets().length, 1);
    assert.equal(server.page.sessionStorage.getItem(KEY), null);
  });

  test("one that dies again is not taken, and tried again later", async () => {
    const stream = server.socket;
    await live(stream, 60_000);
    await welcome();
    server.clock.advance(3_000);
    server.close(1006);
    await pass(10_000);
    assert.equal(connection.transport, "sse");
    assert.equal(stream.hungUp, null);
    const tried = server.sockets.length;
    await live(stream, 100_000);
    assert.equal(server.sockets.length, tried, "not so soon");
    await live(stream, 30_000);
    assert.equal(server.sockets.length, tried + 1);
  });

  test("not while a call is unanswered", async () => {
    const stream = server.socket;
    await live(stream, 60_000);
    await welcome();
    const call = topic.call("hold", {}, { timeout: 60_000 });
    await settled();
    const [{ id }] = stream.sent.splice(0);
    await pass(8_000, 80);
    assert.equal(connection.transport, "sse");
    stream.say(JSON.stringify({ type: "reply", id, data: "done" }));
    await pass(1_000, 20);
    assert.equal(await call, "done");
    assert.equal(connection.transport, "websocket");
  });

  test("close() ends the trial too, and no timer stays", async () => {
    await live(server.socket, 60_000);
    await welcome();
    connection.close();
    await settled();
    assert.deepEqual(openSockets(), []);
    assert.equal(server.clock.pending, 0);
  });

  test("a loss meanwhile ends the trial", async () => {
    const stream = server.socket;
    await live(stream, 60_000);
    stream.lose();
    await settled();
    assert.deepEqual(openSockets(), []);
    assert.deepEqual(states, ["waiting"]);
  });
});
