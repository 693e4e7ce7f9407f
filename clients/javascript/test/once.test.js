import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { FakeServer, settled } from "./support/server.js";

let server;
let topic;

const joined = (id) => ({
  type: "joined", id, topic: "t", epoch: "e1", offset: 0, recovered: true, data: "all",
});

async function join() {
  server.welcome();
  const promise = topic.join();
  server.send(joined(server.take()[0].id));
  await promise;
}

/** Loses the connection, and comes back to where the topic is joined again. */
function comeBack() {
  server.close(1006);
  server.clock.advance(1000);
  server.welcome();
  const asked = server.take();
  assert.deepEqual(asked.map(({ type }) => type), ["join"]);
  server.send(joined(asked[0].id));
}

beforeEach(async () => {
  server = new FakeServer();
  topic = server.connect().topic("t");
  await join();
});

test("a call that takes effect once has a key of its own", () => {
  topic.call("sell", {}, { once: true });
  topic.call("sell", {}, { once: true });
  topic.call("hold");
  const keys = server.take().map(({ key }) => key);
  assert.match(keys[0], /^[0-9a-f]{32}$/);
  assert.notEqual(keys[0], keys[1]);
  assert.equal(keys[2], undefined);
});

test("it is asked again after a loss, with its key, in the old order", async () => {
  const calls = ["sell", "pay"].map((name) => topic.call(name, { seat: 1 }, { once: true }));
  const first = server.take();
  comeBack();
  const second = server.take();
  assert.deepEqual(second.map(({ id, ...body }) => body), first.map(({ id, ...body }) => body));
  for (const { id, action } of second) server.send({ type: "reply", id, data: `${action} done` });
  assert.deepEqual(await Promise.all(calls), ["sell done", "pay done"]);
  comeBack();
  assert.deepEqual(server.take(), []);
});

test("what was asked while the connection was away comes after it", async () => {
  topic.call("sell", {}, { once: true });
  server.take();
  server.close(1006);
  topic.call("hold");
  server.clock.advance(1000);
  server.welcome();
  server.send(joined(server.take()[0].id));
  assert.deepEqual(server.take().map(({ action }) => action), ["sell", "hold"]);
});

test("its time limit goes on over losses, and says that it was sent", async () => {
  const call = topic.call("sell", {}, { once: true, timeout: 5000 });
  server.take();
  server.close(1006);
  server.clock.advance(5000);
  await assert.rejects(call, { code: "timeout", message: /whether the call took effect/ });
  server.welcome();
  server.send(joined(server.take()[0].id));
  assert.deepEqual(server.take(), []);
});

test("it is not asked again when nobody remembers it any more", async (context) => {
  const call = topic.call("sell", {}, { once: true });
  server.take();
  const awake = Date.now() + 10 * 60_000; // the computer has slept; its other clocks stood still
  context.mock.method(Date, "now", () => awake);
  comeBack();
  assert.deepEqual(server.take(), []);
  await assert.rejects(call, { code: "disconnected", message: /whether the call took effect/ });
});

test("what was sent and cannot be asked again is not known", async () => {
  const call = topic.call("sell", {}, { once: true });
  const waiting = topic.call("hold");
  server.take();
  server.close(1006);
  const late = topic.call("hold");
  topic.leave();
  await assert.rejects(call, { code: "disconnected", message: /whether the call took effect/ });
  await assert.rejects(waiting, { code: "disconnected" });
  await assert.rejects(late, { code: "not_joined" });
  await settled();
});
