/** The client against the conversations of tests/vectors/protocol-v1.json. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeHttpServer } from "./support/http.js";
import { settled } from "./support/server.js";
import { vectors } from "./support/vectors.js";

class Conversation {
  server = new FakeHttpServer();
  told = [];
  topics = new Map();

  constructor(transport) {
    this.transport = transport;
    this.connection = this.server.connect(undefined, { transports: [transport] });
    this.connection.on("state", (connection) => this.told.push({ connection }));
  }

  topic(name) {
    const topic = this.connection.topic(name);
    if (this.topics.has(name)) return topic;
    this.topics.set(name, topic);
    const tell = (what) => this.told.push({ ...what, topic: name });
    topic.on("held", (data, { event, offset }) => tell({ event, offset, data }));
    topic.onSnapshot((snapshot) => tell({ snapshot }));
    topic.presence.on("change", (members) => tell({ members }));
    let joined = false;
    topic.onState((state, error) => {
      if (joined && error) this.told.push({ left: name, code: error.code });
      joined ||= state === "joined";
    });
    return topic;
  }

  outcome(of, promise) {
    promise.then(
      (resolved) => this.told.push({ resolved, of }),
      ({ code, message, data }) => this.told.push({ rejected: code, of, message, data }),
    );
  }

  steps = {
    app: ({ join, leave, call, topic, args, timeout }) => {
      if (join) this.outcome("join", this.topic(join).join());
      else if (leave) this.topic(leave).leave();
      else this.outcome(call, this.topic(topic).call(call, args, { timeout }));
    },
    opens: () => assert.equal(this.server.socket.hungUp, null),
    server: (messages) => this.server.send(...[messages].flat()),
    client: (message) => assert.deepEqual(this.server.socket.sent.shift(), message),
    closes: (code) => this.server.close(code),
    hangs_up: (code) => {
      // Only a WebSocket tells the server why.
      if (this.transport === "websocket") assert.equal(this.server.socket.hungUp, code);
      else assert.ok(this.server.socket.hungUp);
    },
    passes: (ms) => this.server.clock.advance(ms),
    expect: (what) => {
      if (what === "nothing") return this.nothing();
      const told = this.told.shift();
      assert.ok(told, `expected ${JSON.stringify(what)}, but the application was told nothing`);
      const named = Object.keys(what).map((name) => [name, told[name]]);
      assert.deepEqual(Object.fromEntries(named), what);
    },
  };

  nothing() {
    assert.deepEqual(this.told, []);
    assert.deepEqual(this.server.socket.sent, []);
  }

  async run(steps) {
    await settled();
    for (const [number, step] of steps.entries()) {
      const [[kind, value]] = Object.entries(step);
      try {
        this.steps[kind](value);
      } catch (error) {
        error.message = `step ${number + 1}, ${JSON.stringify(step)}: ${error.message}`;
        throw error;
      }
      await settled();
      this.server.clock.advance(0);
      await settled();
    }
    this.nothing();
  }
}

for (const transport of ["websocket", "sse", "polling"]) {
  for (const { name, steps } of vectors.conversations) {
    test(`${transport}: ${name}`, () => new Conversation(transport).run(steps));
  }
}
