/**
 * WebSocket close codes: what the client does after each.
 *
 * What lives here: the policy of docs/reference/protocol.md, "Closing". The server's half is
 * `reconnects_after` in seaway/exceptions.py; tests/vectors holds them equal.
 * What must not: anything that acts on it.
 */

export const NORMAL = 1000;
export const NO_STATUS = 1005;
export const ABNORMAL = 1006;
export const MESSAGE_TOO_BIG = 1009;
export const SERVICE_RESTART = 1012;
export const TRY_AGAIN_LATER = 1013;
export const PING_TIMEOUT = 4001;
export const BAD_MESSAGE = 4500;
export const UNSUPPORTED_VERSION = 4501;

/** Standard codes after which a client stays away: the same bytes would meet the same end. */
const TERMINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1010]);

/**
 * The first delay after codes with which the server asks for time: at least `floor` ms, and random
 * over at least `spread` ms beyond it, so that not all clients come back in the same instant.
 * @type {Record<number, {floor: number, spread: number}>}
 */
const ASKED_FOR_TIME = {
  [SERVICE_RESTART]: { floor: 0, spread: 5_000 },
  [TRY_AGAIN_LATER]: { floor: 10_000, spread: 5_000 },
};

/** @param {number} code */
export function reconnectsAfter(code) {
  return !(code >= 4500 && code <= 4999) && !TERMINAL.has(code);
}

/**
 * Whether the server chose the delay: then nothing but the application's own wish shortens it.
 * @param {number} code
 */
export function asksForTime(code) {
  return code in ASKED_FOR_TIME;
}

/** How the reason of a restart ends when the server names the time over which clients come back. */
const WITHIN = /; within=(\d{1,7})$/;

/**
 * @param {number} code
 * @param {string} [reason]
 * @returns {{floor: number, spread: number}} bounds of the first delay, in ms
 */
export function waitAfter(code, reason = "") {
  const within = code === SERVICE_RESTART ? WITHIN.exec(reason) : null;
  if (within) return { floor: 0, spread: Number(within[1]) };
  return ASKED_FOR_TIME[code] ?? { floor: 0, spread: 0 };
}
