import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Presence } from "../src/presence.js";

const ann = { id: "1", name: "ann" };
const bob = { id: "2", name: "bob" };

let presence;
let changes;

beforeEach(() => {
  presence = new Presence();
  changes = [];
  presence.on("change", (members) => changes.push(members));
});

test("at first nobody is there, and the list is the caller's own", () => {
  presence.members.push(ann);
  assert.deepEqual(presence.members, []);
});

test("a whole list replaces what was known", () => {
  presence.replace([ann]);
  presence.receive({ type: "presence", topic: "t", members: [bob] });
  assert.deepEqual(presence.members, [bob]);
  assert.deepEqual(changes, [[ann], [bob]]);
});

test("who enters comes last, who is there already is replaced in place", () => {
  presence.replace([ann]);
  presence.receive({ type: "presence", topic: "t", entered: [bob], left: [] });
  const away = { ...ann, away: true };
  presence.receive({ type: "presence", topic: "t", entered: [away], left: [] });
  assert.deepEqual(presence.members, [away, bob]);
});

test("who left and came back in one message is present", () => {
  presence.replace([ann, bob]);
  presence.receive({ type: "presence", topic: "t", entered: [ann], left: ["1", "2", "unknown"] });
  assert.deepEqual(presence.members, [ann]);
  assert.equal(changes.length, 2);
});

test("nobody after nobody is no change", () => {
  presence.replace([]);
  assert.deepEqual(changes, []);
});
