// The layer on NATS, as docs/reference/layer-wire.md describes it, with the client that everybody
// uses. Each verb writes one line of JSON for each thing that it has done or heard.
//
//   node nats.js URL NAMESPACE publish TOPIC DATA
//   node nats.js URL NAMESPACE follow TOPIC EVENTS
//   node nats.js URL NAMESPACE send CHANNEL DATA
//   node nats.js URL NAMESPACE take CHANNEL MESSAGES

import { randomBytes } from "node:crypto";
import { connect, consumerOpts, headers, StringCodec } from "nats";

const [url, namespace, verb, name, what] = process.argv.slice(2);
const text = StringCodec();
const connection = await connect({ servers: url });
const jetstream = connection.jetstream();
const manager = await connection.jetstreamManager();

const WRONG_SEQUENCE = new Set([10071, 10164]);
const HALF_OF_MAX_AGE = (7 * 86_400) / 2;

function say(thing) {
  process.stdout.write(JSON.stringify(thing) + "\n");
}

const token = (name) =>
  name.replace(/[.*>%]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
const stem = namespace.replace(
  /[^A-Za-z0-9-]/g, (c) => `_${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
const [topics, queues] = [`${stem}_topics`, `${stem}_queues`];

// Storing on the condition that `last` is the last sequence of the subject; undefined: it is not.
async function store(subject, data, values, last) {
  const block = headers();
  for (const [name, value] of Object.entries(values)) block.set(name, value);
  const expect = last === undefined ? {} : { lastSubjectSequence: last };
  try {
    return (await jetstream.publish(subject, data, { headers: block, expect })).seq;
  } catch (error) {
    if (WRONG_SEQUENCE.has(error.api_error?.err_code)) return undefined;
    throw error;
  }
}

async function lastOf(stream, subject) {
  try {
    return await manager.streams.getMessage(stream, { last_by_subj: subject });
  } catch (error) {
    if (error.api_error?.code === 404 || error.code === "404") return undefined;
    throw error;
  }
}

// Topics ------------------------------------------------------------------------------------------

// A message holds one event, or several that were published together.
function eventsOf(message) {
  const block = message.headers ?? message.header; // told or read: two names in this client
  const [epoch, offset] = block.get("Seaway-Event").split(" ");
  const all = Buffer.from(message.data);
  const sizes = block.get("Seaway-Sizes");
  const found = [];
  let at = 0;
  for (const size of sizes ? sizes.split(",").map(Number) : [all.length]) {
    const data = all.subarray(at, at + size).toString();
    found.push({ epoch, offset: Number(offset) + found.length, data });
    at += size;
  }
  return found;
}

// Where a topic stands: the sequence of its last message, its epoch and offset.
async function look(topic) {
  const anchor = await lastOf(topics, `${namespace}.anchor`);
  const root = text.decode(anchor.data);
  const last = await lastOf(topics, `${namespace}.t.${token(topic)}`);
  const { epoch, offset } = last === undefined ? {} : eventsOf(last).at(-1);
  if (epoch?.startsWith(`${root}-`)) return { sequence: last.seq, epoch, offset };
  const half = Math.floor(Date.now() / 1000 / HALF_OF_MAX_AGE).toString(16);
  return { sequence: last?.seq ?? 0, epoch: `${root}-${half}`, offset: 0 };
}

async function publish(topic, data) {
  const id = randomBytes(6).toString("hex");
  for (;;) {
    const { sequence, epoch, offset } = await look(topic);
    const values = {
      "Seaway-Event": `${epoch} ${offset + 1} ${id}`,
      "Seaway-History": "100 300",
    };
    const subject = `${namespace}.t.${token(topic)}`;
    if (await store(subject, text.encode(data), values, sequence) !== undefined) {
      say({ epoch, offset: offset + 1 });
      return;
    }
  }
}

async function follow(topic, count) {
  const news = connection.subscribe(`${namespace}.l.${token(topic)}.e`);
  let { sequence, epoch, offset } = await look(topic);
  say({ epoch, offset, following: true });

  const handle = (events) => {
    for (const event of events) {
      if (event.epoch !== epoch) {
        ({ epoch, offset } = event);
        say({ epoch, offset, gap: true });
      } else if (event.offset > offset) {
        offset = event.offset;
        say(event);
        if (--count === 0) process.exit(0);
      }
    }
  };

  for await (const message of news) {
    const stored = Number(message.headers.get("Nats-Sequence"));
    if (stored <= sequence) continue;
    const next = eventsOf(message);
    // A hole: read what was stored since the last one that was handled.
    while (next[0].epoch === epoch && next[0].offset > offset + 1) {
      const missed = await manager.streams.getMessage(
        topics, { seq: sequence + 1, next_by_subj: `${namespace}.t.${token(topic)}` });
      sequence = missed.seq;
      handle(eventsOf(missed));
    }
    sequence = stored;
    handle(next);
  }
}

// Channels ----------------------------------------------------------------------------------------

const message = (channel, id) => `${namespace}.q.${token(channel)}.i.${id}`;
const state = (record) => ({ "Seaway-State": JSON.stringify(record) });

async function send(channel, data) {
  const id = randomBytes(10).toString("hex");
  await store(message(channel, id), text.encode(data), state({ state: "new" }), 0);
  say({ how: "sent", id });
}

// Every record of the channel from its beginning: those that are `new` or `ready` can be taken.
async function take(channel, count) {
  const options = consumerOpts().orderedConsumer().deliverAll().bindStream(queues);
  const records = await jetstream.subscribe(message(channel, "*"), options);
  say({ taking: true });
  const bodies = new Map();
  for await (const found of records) {
    const id = found.subject.split(".").at(-1);
    const record = JSON.parse(found.headers.get("Seaway-State"));
    if (record.state === "new") bodies.set(id, text.decode(found.data));
    if (record.state === "done") bodies.delete(id);
    if (!["new", "ready"].includes(record.state) || (record.seconds ?? 0) > 0) continue;
    const receipt = randomBytes(10).toString("hex");
    const attempts = (record.attempts ?? 0) + 1;
    const held = { state: "held", seconds: 30, attempts, tries: 5, receipt, rank: record.rank ?? 0 };
    const last = await store(found.subject, text.encode(""), state(held), found.seq);
    if (last === undefined) continue; // somebody else was faster
    const done = {
      ...state({ state: "done", attempts, receipt }), "Nats-Rollup": "sub", "Nats-TTL": "60s",
    };
    const settled = await store(found.subject, text.encode(""), done, last);
    say({ id, data: bodies.get(id), attempt: attempts, done: settled !== undefined });
    if (--count === 0) return;
  }
}

const verbs = { publish, follow, send, take };
await verbs[verb](name, verb === "follow" || verb === "take" ? Number(what) : what);
process.exit(0);
