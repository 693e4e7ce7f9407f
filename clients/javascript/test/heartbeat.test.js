import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Heartbeat } from "../src/heartbeat.js";
import { FakeClock } from "./support/clock.js";

let clock;
let told;
let heartbeat;

beforeEach(() => {
  clock = new FakeClock();
  told = [];
  heartbeat = new Heartbeat(
    clock,
    () => told.push(`ping at ${clock.now()}`),
    () => told.push(`dead at ${clock.now()}`),
  );
});

test("pings after silence, and gives up 10 s later", () => {
  heartbeat.start(25_000);
  clock.advance(60_000);
  assert.deepEqual(told, ["ping at 25000", "dead at 35000"]);
  assert.equal(clock.pending, 0);
});

test("silence counts from the last message", () => {
  heartbeat.start(25_000);
  clock.advance(20_000);
  heartbeat.heard();
  clock.advance(24_999);
  assert.deepEqual(told, []);
  clock.advance(1);
  assert.deepEqual(told, ["ping at 45000"]);
});

test("any message answers a ping", () => {
  heartbeat.start(25_000);
  clock.advance(26_000);
  heartbeat.heard();
  clock.advance(24_000);
  assert.deepEqual(told, ["ping at 25000"]);
});

test("after the computer slept it asks before it gives up", () => {
  heartbeat.start(25_000);
  clock.sleep(3_600_000);
  clock.advance(0);
  assert.deepEqual(told, ["ping at 3600000"]);
});

test("a probe asks at once, and only once", () => {
  heartbeat.start(25_000);
  clock.advance(5_000);
  heartbeat.probe();
  clock.advance(9_000);
  heartbeat.probe();
  clock.advance(1_000);
  assert.deepEqual(told, ["ping at 5000", "dead at 15000"]);
});

test("no storm of pings, whatever the server asks for", () => {
  heartbeat.start(0);
  clock.advance(999);
  assert.deepEqual(told, []);
});

test("stopped, it does nothing", () => {
  heartbeat.start(25_000);
  heartbeat.stop();
  clock.advance(60_000);
  assert.deepEqual(told, []);
});
