/**
 * The way up where there is no WebSocket: what the client sends, as POSTs in order.
 *
 * What lives here: one POST at a time, its number, its ticket, and trying it again. What must not:
 * the way down (sse.js, polling.js).
 *
 * A POST may be repeated, by us or by what lies between: the server knows its number and takes its
 * messages once.
 *
 * @typedef {import("../connection.js").Clock} Clock
 * @typedef {(input: string, init: RequestInit) => Promise<Response>} Fetch
 * @typedef {(code: number, reason: string) => void} Ended
 */

import { ABNORMAL, BAD_MESSAGE, MESSAGE_TOO_BIG } from "../codes.js";

/** Tries of a POST that fails on the way, and the wait before the first repetition, in ms. */
const TRIES = 4;
const WAIT_MS = 250;

/** The wait before a POST is repeated for which the server had no room. */
const BUSY_MS = 500;

/** Characters of messages that are put into one POST; a single message may have more. */
const MOST_CHARACTERS = 200_000;

/** What the server's answer means: the connection goes on, ends with a code, or tries again. */
/** @type {Record<number, number>} */
const ENDS = {
  400: BAD_MESSAGE,
  403: ABNORMAL,
  404: ABNORMAL,
  405: ABNORMAL,
  410: ABNORMAL,
  413: MESSAGE_TOO_BIG,
};

export class Uplink {
  ticket = "";
  #fetch;
  #url;
  #clock;
  #ended;
  /** @type {string[]} */
  #waiting = [];
  #number = 0;
  #busy = false;
  #over = false;

  /**
   * @param {Fetch} fetch
   * @param {string} url
   * @param {Clock} clock
   * @param {Ended} ended called once, when a POST cannot be delivered
   */
  constructor(fetch, url, clock, ended) {
    this.#fetch = fetch;
    this.#url = url;
    this.#clock = clock;
    this.#ended = ended;
  }

  /** @param {string} text one message, JSON */
  send(text) {
    this.#waiting.push(text);
    if (!this.#busy) void this.#work();
  }

  /** Nothing more is sent, nor tried again. */
  stop() {
    this.#over = true;
  }

  /** `stop`, and tell the server that we go, in the background: the page may be about to end. */
  leave() {
    if (this.#over || !this.ticket) return;
    this.stop();
    const init = { ...this.#request(this.#number + 1, "", true), keepalive: true };
    this.#fetch(this.#url, init).catch(() => {});
  }

  async #work() {
    this.#busy = true;
    await null; // what is sent in the same turn shares a POST
    while (this.#waiting.length && !this.#over) {
      this.#number += 1;
      const sent = await this.#deliver(this.#number, this.#take().join(","));
      if (!sent) break;
    }
    this.#busy = false;
  }

  #take() {
    let [size, count] = [0, 0];
    for (const text of this.#waiting) {
      size += text.length;
      if (count > 0 && size > MOST_CHARACTERS) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /**
   * @param {number} number
   * @param {string} messages
   * @returns {Promise<boolean>} whether it was delivered
   */
  async #deliver(number, messages) {
    for (let failures = 0; !this.#over; ) {
      const status = await this.#post(number, messages);
      if (this.#over || status === 204) return status === 204;
      if (status in ENDS) {
        this.#fail(ENDS[status], `a message was answered with ${status}`);
      } else if (status === 429) {
        await this.#pause(BUSY_MS);
      } else if ((failures += 1) === TRIES) {
        this.#fail(ABNORMAL, "a message could not be sent");
      } else {
        await this.#pause(WAIT_MS * 2 ** failures);
      }
    }
    return false;
  }

  /**
   * @param {number} number
   * @param {string} messages
   * @returns {Promise<number>} the status; 0 when there was none
   */
  async #post(number, messages) {
    try {
      return (await this.#fetch(this.#url, this.#request(number, messages, false))).status;
    } catch {
      return 0;
    }
  }

  /**
   * @param {number} number
   * @param {string} messages
   * @param {boolean} close
   */
  #request(number, messages, close) {
    const ticket = JSON.stringify(this.ticket);
    const last = close ? ',"close":true' : "";
    return post(`{"ticket":${ticket},"number":${number},"messages":[${messages}]${last}}`);
  }

  /** @param {number} ms */
  #pause(ms) {
    return new Promise((resolve) => this.#clock.setTimeout(() => resolve(undefined), ms));
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #fail(code, reason) {
    this.#over = true;
    this.#ended(code, reason);
  }
}

/**
 * @param {string} body JSON
 * @returns {RequestInit} a POST with the cookies that a WebSocket would be sent with
 */
export function post(body) {
  const headers = { "content-type": "application/json" };
  return { method: "POST", body, headers, credentials: "include", cache: "no-store" };
}

/**
 * @param {string} url where a WebSocket would connect
 * @param {string} path below it
 * @returns {string}
 */
export function below(url, path) {
  const address = new URL(url);
  address.protocol = address.protocol === "wss:" ? "https:" : "http:";
  address.pathname = address.pathname.replace(/\/?$/, `/${path}`);
  return address.href;
}
