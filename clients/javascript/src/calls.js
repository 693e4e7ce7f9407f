/**
 * Calls of a topic's actions that are not answered yet.
 *
 * What lives here: waiting until the topic is joined, the time limit, and the answer. A call with a
 * key waits again when the connection is lost before its answer came: repeated, it takes effect once.
 *
 * @typedef {import("./connection.js").Link} Link
 * @typedef {import("./protocol.js").Answer} Answer
 * @typedef {{body: import("./protocol.js").CallBody, number: number, id: number, sentAt: number,
 *   timer: unknown, resolve: (value: any) => void, reject: (reason: unknown) => void}} Call
 */

import { SeawayError } from "./error.js";

/**
 * Milliseconds after which a call is not repeated: servers remember answers for ten minutes. By the
 * clock on the wall: the others may stand still while a computer sleeps.
 */
const REPEATABLE = 9 * 60_000;

export class Calls {
  #link;
  /** @type {Set<Call>} */
  #waiting = new Set();
  #count = 0;

  /** @param {Link} link */
  constructor(link) {
    this.#link = link;
  }

  /**
   * Takes a call in; `flush` sends it.
   * @param {import("./protocol.js").CallBody} body
   * @param {number} timeout milliseconds, or Infinity
   * @returns {Promise<any>}
   */
  add(body, timeout) {
    return new Promise((resolve, reject) => {
      /** @type {Call} */
      const call = {
        body, number: ++this.#count, id: 0, sentAt: 0, timer: undefined, resolve, reject,
      };
      this.#waiting.add(call);
      if (timeout === Infinity) return;
      call.timer = this.#link.clock.setTimeout(() => this.#expire(call, timeout), timeout);
    });
  }

  /** Sends what waits, in the order in which it was asked for. */
  flush() {
    for (const call of [...this.#waiting].sort((one, other) => one.number - other.number)) {
      this.#waiting.delete(call);
      const now = Date.now();
      if (call.id && now - call.sentAt > REPEATABLE) {
        this.#reject(call, lost());
        continue;
      }
      try {
        call.sentAt ||= now;
        call.id = this.#link.request(call.body, (answer) => this.#settle(call, answer));
      } catch (error) {
        this.#reject(call, error);
      }
    }
  }

  /**
   * Gives up what waits.
   * @param {SeawayError} error for what was not sent yet
   */
  fail(error) {
    for (const call of this.#waiting) {
      this.#waiting.delete(call);
      this.#reject(call, call.id ? lost() : error);
    }
  }

  /**
   * @param {Call} call
   * @param {Answer | null} answer
   */
  #settle(call, answer) {
    if (answer?.type === "reply") {
      this.#link.clock.clearTimeout(call.timer);
      call.resolve(answer.data);
    } else if (answer?.type === "error") {
      this.#reject(call, new SeawayError(answer.code, answer.message, answer.data));
    } else if (call.body.key) {
      this.#waiting.add(call);
    } else {
      this.#reject(call, lost());
    }
  }

  /**
   * @param {Call} call
   * @param {number} timeout
   */
  #expire(call, timeout) {
    if (!this.#waiting.delete(call)) this.#link.forget(call.id);
    const text = call.id
      ? `No answer in ${timeout} ms: whether the call took effect is not known.`
      : `The topic was not joined within ${timeout} ms: the call was not sent.`;
    call.reject(new SeawayError("timeout", text));
  }

  /**
   * @param {Call} call
   * @param {unknown} error
   */
  #reject(call, error) {
    this.#link.clock.clearTimeout(call.timer);
    call.reject(error);
  }
}

/** @returns {string} 128 random bits: a key for one call, which nobody can guess */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function lost() {
  const text = "The connection was lost: whether the call took effect is not known.";
  return new SeawayError("disconnected", text);
}
