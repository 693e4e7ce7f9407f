import assert from "node:assert/strict";
import { test } from "node:test";

import { Emitter } from "../src/emitter.js";
import { reported } from "./support/server.js";

test("listeners hear their own name only, in the order of registration", () => {
  const emitter = new Emitter();
  const heard = [];
  emitter.on("a", (...args) => heard.push(["first", ...args]));
  emitter.on("a", (...args) => heard.push(["second", ...args]));
  emitter.on("b", () => heard.push("never"));
  emitter.emit("a", 1, 2);
  assert.deepEqual(heard, [["first", 1, 2], ["second", 1, 2]]);
});

test("a function registered twice is called twice, and taken back once", () => {
  const emitter = new Emitter();
  let calls = 0;
  const fn = () => (calls += 1);
  const off = emitter.on("a", fn);
  emitter.on("a", fn);
  emitter.emit("a");
  assert.equal(calls, 2);
  off();
  off();
  emitter.emit("a");
  assert.equal(calls, 3);
  assert.ok(emitter.has("a"));
});

test("a listener that throws is reported, the others are called", async () => {
  const emitter = new Emitter();
  const heard = [];
  const fault = new Error("the application's own");
  emitter.on("a", () => {
    throw fault;
  });
  emitter.on("a", () => heard.push("second"));
  const errors = await reported(() => emitter.emit("a"));
  assert.deepEqual(errors, [fault]);
  assert.deepEqual(heard, ["second"]);
});

test("without reportError the console is told", (t) => {
  assert.equal(globalThis.reportError, undefined);
  const log = t.mock.method(console, "error", () => {});
  const emitter = new Emitter();
  emitter.on("a", () => {
    throw new Error("oh");
  });
  emitter.emit("a");
  assert.equal(log.mock.calls[0].arguments[0].message, "oh");
});

test("a listener registered while others are called waits for the next time", () => {
  const emitter = new Emitter();
  const heard = [];
  emitter.on("a", () => emitter.on("a", () => heard.push("late")));
  emitter.emit("a");
  assert.deepEqual(heard, []);
});

test("what is no function is refused at once", () => {
  assert.throws(() => new Emitter().on("held", undefined), /"held"/);
});
