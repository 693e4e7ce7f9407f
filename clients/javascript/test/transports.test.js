import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { FakeHttpServer } from "./support/http.js";
import { settled } from "./support/server.js";

let server;
let connection;
let states;

/** Lets waits pass that are armed only after a promise was kept. */
async function pass(ms, steps = 20) {
  for (let step = 0; step < steps; step += 1) {
    await settled();
    server.clock.advance(ms / steps);
  }
  await settled();
}

async function open(transport, options = {}) {
  server = new FakeHttpServer();
  states = [];
  connection = server.connect(undefined, { transports: [transport], ...options });
  connection.on("state", (state, { code, reason }) => states.push([state, code, reason]));
  await settled();
  server.send({ type: "welcome", version: 1, connection: "c1", ping: 25_000 });
  await settled();
}

const event = (offset) => ({ type: "event", topic: "a", offset, event: "e", data: offset });
const joined = (id, offset, recovered = false) => ({
  type: "joined", id, topic: "a", epoch: "k", offset, recovered, data: null,
});

for (const transport of ["sse", "polling"]) {
  describe(transport, () => {
    beforeEach(() => open(transport));

    test("the address is below a WebSocket's, with cookies, past caches", async () => {
      const [first] = server.requests;
      const path = transport === "sse" ? "sse" : "poll";
      assert.equal(first.url, `https://example.org/seaway/${path}`);
      assert.equal(first.credentials, "include");
      assert.equal(first.cache, "no-store");
      assert.deepEqual(states.map(([state]) => state), ["open"]);
      assert.equal(connection.transport, transport);
    });

    test("what is sent in one turn shares a POST, and POSTs are numbered", async () => {
      connection.topic("a").join().catch(() => {});
      connection.topic("b").join().catch(() => {});
      await settled();
      assert.equal(server.count("send"), 1);
      assert.deepEqual(server.take().map(({ topic }) => topic), ["a", "b"]);
      connection.topic("c").join().catch(() => {});
      await settled();
      assert.equal(JSON.parse(server.requests.at(-1).body).number ?? 2, 2);
      assert.deepEqual(server.take().map(({ topic }) => topic), ["c"]);
    });

    test("a POST that fails on the way is tried again under its number", async () => {
      server.fails.send.push("network", 502);
      connection.topic("a").join().catch(() => {});
      await pass(5_000);
      const sent = server.requests.filter(({ path }) => path === "send");
      assert.deepEqual(sent.map(({ body }) => JSON.parse(body).number), [1, 1, 1]);
      assert.equal(server.take().length, 1);
      assert.equal(connection.state, "open");
    });

    test("a server without room gets the same POST later", async () => {
      server.fails.send.push(429, 429, 429, 429, 429, 429);
      connection.topic("a").join().catch(() => {});
      await pass(10_000, 40);
      assert.equal(server.count("send"), 7);
      assert.equal(server.take().length, 1);
    });

    for (const status of [403, 410]) {
      test(`${status} to a POST: the connection is lost, and comes back`, async () => {
        server.fails.send.push(status);
        connection.topic("a").join().catch(() => {});
        await settled();
        assert.deepEqual(states.at(-1), ["waiting", 1006, `a message was answered with ${status}`]);
        await pass(500);
        assert.equal(server.sockets.length, 2);
      });
    }

    test("a POST that cannot be delivered: lost", async () => {
      server.fails.send.push("network", "network", "network", "network");
      connection.topic("a").join().catch(() => {});
      await pass(10_000, 40);
      assert.equal(states[1][0], "waiting");
      assert.equal(server.count("send") >= 4, true);
    });

    test("a message that is too large ends it for good, as over a WebSocket", async () => {
      server.fails.send.push(413);
      connection.topic("a").join().catch(() => {});
      await settled();
      assert.deepEqual(states.at(-1).slice(0, 2), ["closed", 1009]);
    });

    test("close(): the server is not left waiting", async () => {
      connection.close();
      await settled();
      assert.ok(server.sockets[0].hungUp);
      await pass(60_000);
      assert.equal(server.sockets.length, 1);
    });

    test("what shows that the server is there keeps pings away", async () => {
      for (let times = 0; times < 5; times += 1) {
        server.clock.advance(20_000);
        if (transport === "sse") server.socket.write(":\n\n");
        else server.socket.wake();
        await settled();
      }
      assert.deepEqual(server.take(), []);
      server.clock.advance(25_000);
      await settled();
      assert.deepEqual(server.take(), [{ type: "ping" }]);
    });

    test("a code of the server's is heeded", async () => {
      server.close(1012, "service restart");
      await settled();
      assert.deepEqual(states.at(-1), ["waiting", 1012, "service restart"]);
    });
  });
}

describe("sse", () => {
  beforeEach(() => open("sse"));

  test("a new ticket is used from then on", async () => {
    server.socket.renew("ticket-2");
    await settled();
    connection.topic("a").join().catch(() => {});
    await settled();
    assert.equal(server.take().length, 1);
  });

  test("a stream that is refused: lost", async () => {
    server.socket.lose();
    server.fails.sse.push(403);
    await pass(500);
    assert.equal(states.at(-1)[2], "the stream was answered with 403");
  });

  test("text that is cut inside a character", async () => {
    const heard = [];
    connection.topic("a").on("e", (data) => heard.push(data));
    connection.topic("a").join();
    await settled();
    server.send(joined(1, 0));
    await pass(1);
    const text = JSON.stringify({ ...event(1), data: "🌊" });
    for (const byte of new TextEncoder().encode(`data: ${text}\n\n`)) server.socket.bytes([byte]);
    await pass(1, 200);
    await settled();
    assert.deepEqual(heard, ["🌊"]);
  });
});

describe("polling", () => {
  beforeEach(() => open("polling"));

  test("a batch whose answer was lost comes again, and counts once", async () => {
    const heard = [];
    connection.topic("a").on("e", (data) => heard.push(data));
    connection.topic("a").join();
    await settled();
    server.send(joined(1, 0));
    await pass(1);
    server.socket.breaks();
    await pass(2_000);
    server.send(event(1));
    await settled();
    server.fails.poll.push("network");
    server.send(event(2));
    await pass(2_000);
    assert.deepEqual(heard, [1, 2]);
    assert.equal(connection.state, "open");
  });

  test("polls that fail again and again: lost", async () => {
    server.fails.poll.push("network", "network", "network");
    server.socket.breaks();
    await pass(10_000, 40);
    assert.equal(states[1][0], "waiting");
    assert.equal(states[1][2], "a poll was answered with nothing");
  });

  test("a page that is left says so", async () => {
    server.page.dispatchEvent(new Event("pagehide"));
    await settled();
    const last = server.requests.at(-1);
    assert.equal(last.keepalive, true);
    assert.deepEqual(JSON.parse(last.body), {
      ticket: "ticket-1", number: 1, messages: [], close: true,
    });
  });
});
