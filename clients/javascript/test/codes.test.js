import assert from "node:assert/strict";
import { test } from "node:test";

import { asksForTime, reconnectsAfter } from "../src/codes.js";
import { vectors } from "./support/vectors.js";

for (const [code, reconnects] of Object.entries(vectors.close_codes)) {
  test(`after ${code} a client ${reconnects ? "reconnects" : "stays away"}`, () => {
    assert.equal(reconnectsAfter(Number(code)), reconnects);
  });
}

test("only 1012 and 1013 ask for time", () => {
  const asking = Object.keys(vectors.close_codes).filter((code) => asksForTime(Number(code)));
  assert.deepEqual(asking, ["1012", "1013"]);
});
