import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { FakeServer, settled } from "./support/server.js";
import { code, join, joined } from "./support/topic.js";

let server;
let connection;
let topic;

beforeEach(async () => {
  server = new FakeServer();
  connection = server.connect();
  topic = connection.topic("t");
  await join({ server, connection, topic });
});

describe("calls", () => {
  test("the answer resolves, and no timer stays", async () => {
    const before = server.clock.pending;
    const promise = topic.call("hold", { seat: 12 });
    const call = { type: "call", id: 2, topic: "t", action: "hold", args: { seat: 12 } };
    assert.deepEqual(server.take(), [call]);
    server.send({ type: "reply", id: 2, data: { until: 5 } });
    assert.deepEqual(await promise, { until: 5 });
    assert.equal(server.clock.pending, before);
  });

  test("without arguments an empty object is sent", () => {
    topic.call("hold");
    assert.deepEqual(server.take()[0].args, {});
  });

  test("the time limit is 10 s, or the caller's own, or none", async () => {
    const usual = topic.call("a");
    const short = topic.call("b", {}, { timeout: 50 });
    const patient = topic.call("c", {}, { timeout: Infinity });
    server.clock.advance(50);
    await assert.rejects(short, { code: "timeout", message: /No answer in 50 ms/ });
    server.clock.advance(9_950);
    await assert.rejects(usual, { code: "timeout" });
    server.send({ type: "pong" });
    server.clock.advance(14_000);
    server.send({ type: "reply", id: 4, data: "late" });
    assert.equal(await patient, "late");
  });

  test("a call that waits says that it was not sent", async () => {
    server.close(1013);
    const promise = topic.call("hold", {}, { timeout: 50 });
    server.clock.advance(50);
    await assert.rejects(promise, { code: "timeout", message: /was not sent/ });
  });

  test("calls that wait are sent in their order", async () => {
    server.close(1006);
    const [first, second] = [topic.call("a"), topic.call("b")];
    server.clock.advance(250);
    server.welcome();
    assert.deepEqual(server.take().map(({ type }) => type), ["join"]);
    server.send(joined(2, { recovered: true }));
    assert.deepEqual(server.take().map(({ action }) => action), ["a", "b"]);
    server.send({ type: "reply", id: 3, data: 1 }, { type: "reply", id: 4, data: 2 });
    assert.deepEqual(await Promise.all([first, second]), [1, 2]);
  });

  test("under way when the connection is closed or renewed: disconnected", async () => {
    const first = topic.call("a");
    connection.reconnect();
    assert.equal(await code(first), "disconnected");
    server.welcome();
    server.send(joined(3, { recovered: true }));
    const second = topic.call("b");
    connection.close();
    assert.equal(await code(second), "disconnected");
  });

  test("under way at leave(): still answered", async () => {
    const promise = topic.call("a");
    topic.leave();
    server.send({ type: "reply", id: 2, data: 1 });
    assert.equal(await promise, 1);
  });

  test("what JSON cannot carry rejects that call only", async () => {
    const bad = topic.call("a", { seat: 12n });
    const good = topic.call("b");
    await assert.rejects(bad, TypeError);
    const [{ id }] = server.take();
    server.send({ type: "reply", id, data: "ok" });
    assert.equal(await good, "ok");
  });

  test("arguments must be an object, the action a string", async () => {
    await assert.rejects(topic.call("a", [12]), TypeError);
    await assert.rejects(topic.call("a", null), TypeError);
    await assert.rejects(topic.call(), TypeError);
    assert.deepEqual(server.take(), []);
  });

  test("a reply that nobody waits for is ignored", async () => {
    server.send({ type: "reply", id: 99, data: 1 }, { type: "left", id: 98, topic: "t" });
    await settled();
    assert.equal(topic.state, "joined");
  });
});
