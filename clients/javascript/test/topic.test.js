import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { FakeServer, reported, settled } from "./support/server.js";

let server;
let connection;
let topic;
let states;

beforeEach(() => {
  server = new FakeServer();
  connection = server.connect();
  topic = connection.topic("t");
  states = [];
  topic.onState((state, error) => states.push(error ? `${state}: ${error.code}` : state));
});

const joined = (id, more) => ({
  type: "joined", id, topic: "t", epoch: "e1", offset: 0, recovered: false, data: "all", ...more,
});
const rejoin = (id, offset) => ({ type: "join", id, topic: "t", since: { epoch: "e1", offset } });
const event = (offset, data = offset) => ({ type: "event", topic: "t", offset, event: "e", data });
const refusal = (id, code = "forbidden") => ({
  type: "error", id, code, message: "No.", data: { why: 1 },
});

async function join() {
  if (connection.state !== "open") server.welcome();
  const promise = topic.join();
  const [{ id }] = server.take();
  server.send(joined(id));
  await promise;
  server.clock.advance(0);
  states.length = 0;
}

const code = (promise) => promise.then(() => "resolved", (error) => error.code);

describe("left", () => {
  test("join(): joining, then joined, with the snapshot", async () => {
    server.welcome();
    const promise = topic.join();
    assert.equal(topic.state, "joining");
    assert.deepEqual(server.take(), [{ type: "join", id: 1, topic: "t" }]);
    server.send(joined(1));
    assert.equal(await promise, "all");
    assert.deepEqual(states, ["joining", "joined"]);
  });

  test("leave() changes nothing, and sends nothing", () => {
    server.welcome();
    topic.leave();
    assert.deepEqual([states, server.take()], [[], []]);
  });

  test("call() rejects with not_joined", async () => {
    assert.equal(await code(topic.call("hold")), "not_joined");
  });

  test("join() on a closed connection rejects with disconnected", async () => {
    connection.close();
    assert.equal(await code(topic.join()), "disconnected");
    assert.equal(topic.state, "left");
  });

  test("the connection's coming and going changes nothing", () => {
    server.welcome();
    server.close(1006);
    connection.close();
    assert.deepEqual(states, []);
  });
});

describe("joining", () => {
  test("join() again: the same promise, one request", () => {
    server.welcome();
    assert.equal(topic.join(), topic.join());
    assert.equal(server.take().length, 1);
  });

  test("refused: left, and the server's reason", async () => {
    server.welcome();
    const promise = topic.join();
    const call = topic.call("hold");
    server.send(refusal(1));
    const { code, message, data } = refusal(1);
    await assert.rejects(promise, { name: "SeawayError", code, message, data });
    await assert.rejects(call, { code: "not_joined", message: "The topic was not joined: No." });
    assert.deepEqual(states, ["joining", "left: forbidden"]);
  });

  test("refused in passing: a first join is for the application to repeat", async () => {
    server.welcome();
    const promise = topic.join();
    server.send(refusal(1, "unavailable"));
    assert.equal(await code(promise), "unavailable");
    const again = topic.join();
    assert.equal(server.take().length, 2);
    server.send(joined(2));
    assert.equal(await again, "all");
  });

  test("leave(): the join rejects, as do calls that wait for it", async () => {
    server.welcome();
    const promise = topic.join();
    const call = topic.call("hold");
    topic.leave();
    assert.deepEqual(await Promise.all([code(promise), code(call)]), ["not_joined", "not_joined"]);
    assert.deepEqual(server.take().map(({ type }) => type), ["join", "leave"]);
    assert.deepEqual(states, ["joining", "left"]);
  });

  test("leave() before it was asked for: the server learns of neither", async () => {
    const promise = topic.join();
    topic.leave();
    assert.equal(await code(promise), "not_joined");
    server.welcome();
    assert.deepEqual(server.take(), []);
  });

  test("closed for good before the first answer: left", async () => {
    const promise = topic.join();
    const call = topic.call("hold");
    connection.close();
    assert.equal(await code(promise), "disconnected");
    assert.equal(await code(call), "disconnected");
    assert.equal(topic.state, "left");
  });
});

describe("joined", () => {
  beforeEach(join);

  test("join() again: the promise of the first", async () => {
    assert.equal(await topic.join(), "all");
    assert.deepEqual(server.take(), []);
  });

  test("lost: joining, until the answer comes", async () => {
    server.close(1006);
    assert.deepEqual(states, ["joining"]);
    server.clock.advance(250);
    server.welcome();
    assert.deepEqual(server.take(), [rejoin(2, 0)]);
    server.send(joined(2, { recovered: true }));
    assert.deepEqual(states, ["joining", "joined"]);
  });

  test("leave(): left, and what still comes is not heard", () => {
    const heard = [];
    topic.on("e", (data) => heard.push(data));
    topic.leave();
    server.send(event(1), { type: "gap", topic: "t" });
    server.clock.advance(1_000);
    assert.deepEqual([states, heard], [["left"], []]);
    assert.deepEqual(server.take(), [{ type: "leave", id: 2, topic: "t" }]);
  });

  test("leave() empties the list of members", () => {
    server.send({ type: "presence", topic: "t", members: [{ id: "c1" }] });
    assert.equal(topic.presence.members.length, 1);
    topic.leave();
    assert.deepEqual(topic.presence.members, []);
  });

  test("where members are counted, numbers come with the join and after it", () => {
    const other = connection.topic("t2");
    other.join();
    server.send(joined(2, { topic: "t2", headcount: { members: 2, people: 1 } }));
    assert.deepEqual([other.presence.count, other.presence.people], [2, 1]);
    server.clock.advance(0);
    server.send({ type: "headcount", topic: "t2", members: 9, people: 7 });
    assert.deepEqual([other.presence.count, other.presence.people], [9, 7]);
    other.leave();
    assert.equal(other.presence.count, 0);
  });

  test("refused after a gap: left; somebody is told", async () => {
    server.send({ type: "gap", topic: "t" });
    server.clock.advance(150);
    server.send(refusal(2));
    assert.deepEqual(states, ["left: forbidden"]);
  });

  test("refused after a gap, and nobody listens: it is reported", async () => {
    const other = connection.topic("t2");
    const promise = other.join();
    server.send(joined(2, { topic: "t2" }));
    await promise;
    server.clock.advance(0);
    server.send({ type: "gap", topic: "t2" });
    server.clock.advance(150);
    const errors = await reported(() => server.send(refusal(3)));
    assert.deepEqual(errors.map((error) => error.code), ["forbidden"]);
    assert.equal(other.state, "left");
  });

  test("closed for good: reconnect() resumes at the position", async () => {
    server.send(event(1));
    connection.close();
    assert.equal(topic.state, "joining");
    assert.equal(await code(topic.call("hold")), "disconnected");
    connection.reconnect();
    server.welcome();
    assert.deepEqual(server.take(), [rejoin(2, 1)]);
  });

  test("closed for good, then left: reconnect() joins nothing", () => {
    connection.close();
    topic.leave();
    connection.reconnect();
    server.welcome();
    assert.deepEqual(server.take(), []);
  });
});

describe("events", () => {
  beforeEach(join);

  test("a listener gets data, name and offset, until it is taken back", () => {
    const heard = [];
    const off = topic.on("e", (...args) => heard.push(args));
    server.send(event(1, { seat: 1 }));
    off();
    server.send(event(2));
    assert.deepEqual(heard, [[{ seat: 1 }, { event: "e", offset: 1 }]]);
  });

  test("one that throws is reported, and counts as handled", async () => {
    topic.on("e", () => {
      throw new Error("the application's own");
    });
    const errors = await reported(() => server.send(event(1), event(2)));
    assert.equal(errors.length, 2);
    connection.reconnect();
    server.welcome();
    assert.equal(server.take()[0].since.offset, 2);
  });

  test("leaving and joining again inside a listener: no later event of the old join", () => {
    const heard = [];
    topic.on("e", (data) => {
      heard.push(data);
      topic.leave();
      topic.join();
    });
    server.send(event(1), event(2), event(3));
    assert.deepEqual(heard, [1]);
  });
});

describe("the first turn after a join", () => {
  test("events wait until what awaits the join has run, however deep it waits", async () => {
    server.welcome();
    const painted = [];
    topic.on("e", (data) => painted.push(data));
    const load = async () => await topic.join();
    const page = (async () => painted.push(await load()))();
    server.send(joined(1), event(1), event(2));
    await page;
    server.clock.advance(0);
    assert.deepEqual(painted, ["all", 1, 2]);
  });

  test("a loss in that turn loses nothing", async () => {
    server.welcome();
    const heard = [];
    topic.on("e", (data) => heard.push(data));
    topic.join();
    server.send(joined(1), event(1));
    server.close(1006);
    assert.deepEqual(heard, [1]);
    server.clock.advance(250);
    server.welcome();
    assert.equal(server.take()[0].since.offset, 1);
  });

  test("leave() in that turn: nothing is heard", () => {
    server.welcome();
    const heard = [];
    topic.on("e", (data) => heard.push(data));
    topic.join().catch(() => {});
    server.send(joined(1), event(1));
    topic.leave();
    server.clock.advance(0);
    assert.deepEqual(heard, []);
  });
});

describe("snapshots", () => {
  test("onSnapshot: at the first join and after what was missed, until taken back", async () => {
    const snapshots = [];
    const off = topic.onSnapshot((snapshot) => snapshots.push(snapshot));
    await join();
    connection.reconnect();
    server.welcome();
    server.send(joined(2, { recovered: true, data: "not to be painted" }));
    connection.reconnect();
    server.welcome();
    server.send(joined(3, { epoch: "e2", data: "fresh" }));
    off();
    connection.reconnect();
    server.welcome();
    server.send(joined(4, { epoch: "e3", data: "not heard" }));
    assert.deepEqual(snapshots, ["all", "fresh"]);
  });

  test("each join after leave() has its own", async () => {
    await join();
    topic.leave();
    const promise = topic.join();
    server.send(joined(3, { data: "second" }));
    assert.equal(await promise, "second");
  });
});

describe("calls", () => {
  beforeEach(join);

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
