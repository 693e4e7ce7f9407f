// The layer on Redis, as docs/reference/layer-wire.md describes it, with the client that everybody
// uses. Each verb writes one line of JSON for each thing that it has done or heard.
//
//   node redis.js URL NAMESPACE SCRIPTS publish TOPIC DATA
//   node redis.js URL NAMESPACE SCRIPTS follow TOPIC EVENTS
//   node redis.js URL NAMESPACE SCRIPTS send CHANNEL DATA
//   node redis.js URL NAMESPACE SCRIPTS take CHANNEL MESSAGES

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "redis";

const [url, namespace, folder, verb, name, what] = process.argv.slice(2);

const client = createClient({ url });
client.on("error", (error) => fail(error));

function fail(error) {
  console.error(String(error));
  process.exit(1);
}

function say(thing) {
  process.stdout.write(JSON.stringify(thing) + "\n");
}

// Names -------------------------------------------------------------------------------------------

const streamKeys = (topic) => {
  const base = `${namespace}:{t.${topic}}`;
  return [base, `${base}.history`, `${base}.ids0`, `${base}.ids1`];
};

const QUEUE = ["", ".records", ".data", ".ready", ".delayed", ".held", ".expiring", ".lines",
  ".dead", ".graves", ".once", ".onceends", ".ids0", ".ids1"];
const queueKeys = (channel) => QUEUE.map((part) => `${namespace}:{c.${channel}}${part}`);

const candidate = () => randomBytes(6).toString("base64url");
const requestId = () => randomBytes(18).toString("base64");

// Scripts -----------------------------------------------------------------------------------------

const NEED_MEMORY = new Set(["publish", "enter", "claim", "send", "channels"]);

function script(name) {
  const own = readFileSync(join(folder, `${name}.lua`), "utf8");
  const uses = /^-- uses: (\w+)/.exec(own)?.[1];
  const parts = [NEED_MEMORY.has(name) ? "#!lua" : "#!lua flags=allow-oom", file("common")];
  if (uses !== undefined && uses !== "common") parts.push(file(uses));
  return [...parts, own].join("\n");
}

function file(name) {
  return readFileSync(join(folder, `${name}.lua`), "utf8");
}

const run = (name, keys, ...args) =>
  client.eval(script(name), { keys, arguments: [...args.map(String), "0"] });

// Topics ------------------------------------------------------------------------------------------

async function publish(topic, data) {
  const [epoch, offset] = await run(
    "publish", streamKeys(topic), data, 100, 300_000, candidate(), requestId());
  say({ epoch, offset });
}

async function follow(topic, count) {
  const subscriber = await client.duplicate().connect();
  const early = [];
  let take = (message) => early.push(message);
  await subscriber.sSubscribe(streamKeys(topic)[0], (message) => take(message));
  let [epoch, offset] = await run("position", streamKeys(topic), candidate());
  say({ epoch, offset, following: true });
  let reading = Promise.resolve();

  const handle = (data) => {
    offset += 1;
    say({ epoch, offset, data });
    if (--count === 0) process.exit(0);
  };

  const readOn = async () => {
    for (;;) {
      const [now, end, , list] = await run(
        "read", streamKeys(topic), epoch, offset, 100, 1_000_000, candidate());
      if (list === undefined) {
        [epoch, offset] = [now, end];
        say({ epoch, offset, gap: true });
        return;
      }
      list.forEach(handle);
      if (offset >= end) return;
    }
  };

  const told = async (message) => {
    const found = /^p (\S+) (\d+) ([^]*)$/.exec(message);
    if (found === null) return;
    if (found[1] === epoch && Number(found[2]) <= offset) return;
    if (found[1] === epoch && Number(found[2]) === offset + 1) handle(found[3]);
    else await readOn();
  };

  take = (message) => { reading = reading.then(() => told(message)).catch(fail); };
  early.forEach(take);
}

// Channels ----------------------------------------------------------------------------------------

async function send(channel, data) {
  await client.eval(script("channels"), {
    keys: [`${namespace}:{channels}`], arguments: ["add", channel, "0"],
  });
  const [how, id] = await run(
    "send", queueKeys(channel), requestId(), data, 10_000, 0, -1, "", "", 3_600_000, 0);
  say({ how, id });
}

async function take(channel, count) {
  const subscriber = await client.duplicate().connect();
  let wake = () => {};
  await subscriber.sSubscribe(queueKeys(channel)[0], () => wake());
  say({ taking: true });
  while (count > 0) {
    const news = new Promise((resolve) => { wake = resolve; });
    const [, due, , ...found] = await run(
      "receive", queueKeys(channel), count, 30_000, 5, requestId());
    if (found.length === 0) {
      const pause = Math.min(due < 0 ? 5000 : due, 5000);
      await Promise.race([news, new Promise((resolve) => setTimeout(resolve, pause))]);
    }
    for (let at = 0; at < found.length; at += 4) {
      const [id, data, attempt, receipt] = found.slice(at, at + 4);
      const done = await run("ack", queueKeys(channel), id, receipt);
      say({ id, data, attempt: Number(attempt), done: done === 1 });
      count -= 1;
    }
  }
  subscriber.destroy();
}

await client.connect();
const verbs = { publish, follow, send, take };
await verbs[verb](name, verb === "follow" || verb === "take" ? Number(what) : what);
if (verb !== "follow") client.destroy();
