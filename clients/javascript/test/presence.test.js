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

test("where members are counted there are numbers and no list", () => {
  presence.tell({ members: 3, people: 2 });
  assert.deepEqual([presence.count, presence.people], [3, 2]);
  assert.deepEqual(presence.members, []);
  assert.deepEqual(changes, [[]]);
});

test("a change tells the numbers, and the same numbers are no change", () => {
  const counts = [];
  presence.on("change", (members, headcount) => counts.push(headcount));
  presence.tell({ members: 3, people: 2 });
  presence.tell({ members: 3, people: 2 });
  presence.tell({ members: 4, people: 2 });
  assert.deepEqual(counts, [{ count: 3, people: 2 }, { count: 4, people: 2 }]);
});

test("where members are listed they are counted, and people are not known", () => {
  presence.replace([ann, bob]);
  assert.deepEqual([presence.count, presence.people], [2, null]);
});

test("after leaving nobody is counted any more", () => {
  presence.tell({ members: 3, people: 2 });
  presence.replace([]);
  assert.deepEqual([presence.count, presence.people], [0, null]);
  assert.equal(changes.length, 2);
});
