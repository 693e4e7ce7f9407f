import assert from "node:assert/strict";
import { test } from "node:test";

import { gapDelay, retryDelay } from "../src/backoff.js";
import { vectors } from "./support/vectors.js";

const LEAST = () => 0;
const MOST = () => 1 - Number.EPSILON;

for (const { code, reason = "", attempt, least, most } of vectors.delays) {
  test(`after ${code} ${reason}, attempt ${attempt}: ${least} to ${most ?? "any number of"} ms`, () => {
    assert.equal(retryDelay(attempt, LEAST, code, reason), least);
    const longest = retryDelay(attempt, MOST, code, reason);
    assert.ok(longest > least);
    if (most !== null) assert.ok(longest <= most && longest > most - 1, `${longest}`);
  });
}

test("later attempts after a restart back off further than the first", () => {
  assert.ok(retryDelay(6, MOST, 1012) > 29_000);
});

test("a gap is mended within 300 ms", () => {
  assert.equal(gapDelay(LEAST), 0);
  assert.ok(gapDelay(MOST) <= 300 && gapDelay(MOST) > 299);
});
