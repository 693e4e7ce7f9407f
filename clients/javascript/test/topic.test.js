import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { FakeServer, reported } from "./support/server.js";
import { code, event, join as joinTopic, joined, refusal, rejoin } from "./support/topic.js";

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

async function join() {
  await joinTopic({ server, connection, topic });
  states.length = 0;
}

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
