/**
 * Calls of a topic's actions that are not answered yet.
 *
 * What lives here: waiting until the topic is joined, the time limit, and the answer.
 *
 * @typedef {import("./connection.js").Link} Link
 * @typedef {import("./protocol.js").Answer} Answer
 * @typedef {{body: import("./protocol.js").CallBody, id: number, timer: unknown,
 *   resolve: (value: any) => void, reject: (reason: unknown) => void}} Call
 */

import { SeawayError } from "./error.js";

export class Calls {
  #link;
  /** @type {Set<Call>} */
  #waiting = new Set();

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
      const call = { body, id: 0, timer: undefined, resolve, reject };
      this.#waiting.add(call);
      if (timeout === Infinity) return;
      call.timer = this.#link.clock.setTimeout(() => this.#expire(call, timeout), timeout);
    });
  }

  /** Sends what waits, in the order in which it was asked for. */
  flush() {
    for (const call of this.#waiting) {
      this.#waiting.delete(call);
      try {
        call.id = this.#link.request(call.body, (answer) => this.#settle(call, answer));
      } catch (error) {
        this.#reject(call, error);
      }
    }
  }

  /**
   * Gives up what was not sent yet.
   * @param {SeawayError} error
   */
  fail(error) {
    for (const call of this.#waiting) {
      this.#waiting.delete(call);
      this.#reject(call, error);
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
    } else {
      const text = "The connection was lost: whether the call took effect is not known.";
      this.#reject(call, new SeawayError("disconnected", text));
    }
  }

  /**
   * @param {Call} call
   * @param {number} timeout
   */
  #expire(call, timeout) {
    const sent = !this.#waiting.delete(call);
    if (sent) this.#link.forget(call.id);
    const text = sent
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
