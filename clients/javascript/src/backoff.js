/**
 * How long to wait before trying again.
 *
 * What lives here: the arithmetic of docs/reference/protocol.md, "Closing". No clock, no state.
 */

import { waitAfter } from "./codes.js";

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/** Many clients learn of a gap in the same instant; they join again spread over this time. */
const GAP_MS = 300;

/**
 * @param {number} attempt 0 for the first try after a loss
 * @param {() => number} random from 0 up to, not including, 1
 * @param {number} [code] the close code, when a connection was closed
 * @param {string} [reason] and its reason
 * @returns {number} milliseconds
 */
export function retryDelay(attempt, random, code = 0, reason = "") {
  const { floor, spread } = waitAfter(code, reason);
  const usual = Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt);
  return Math.round(floor + random() * Math.max(spread, usual));
}

/**
 * @param {() => number} random
 * @returns {number} milliseconds until a topic with a gap joins again
 */
export function gapDelay(random) {
  return random() * GAP_MS;
}
