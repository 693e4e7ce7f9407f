/**
 * Messages in numbered batches that are asked for, up by POST; as if it were a WebSocket.
 *
 * What lives here: the polls. A batch counts as arrived when the next poll says so: one whose
 * answer was lost on the way comes again.
 *
 * @typedef {import("../connection.js").Clock} Clock
 * @typedef {import("./uplink.js").Fetch} Fetch
 * @typedef {{batch: number, messages: unknown[], ticket: string,
 *   close?: {code: number, reason: string}}} Batch
 */

import { ABNORMAL } from "../codes.js";
import { Uplink, below, post } from "./uplink.js";

/** Tries of a poll that fails on the way, and the wait before the first repetition, in ms. */
const TRIES = 4;
const WAIT_MS = 250;

/** Answers to a poll after which the same poll would be answered alike. */
const FINAL = new Set([400, 403, 404, 405, 410, 413]);

export class PollingSocket {
  /** @type {((event: {data: string}) => void) | null} */
  onmessage = null;
  /** @type {((event: {code: number, reason: string}) => void) | null} */
  onclose = null;
  /** @type {(() => void) | null} the server has shown that it is there */
  onheard = null;
  #fetch;
  #url;
  #clock;
  #window;
  #uplink;
  #abort = new AbortController();
  #ack = 0;
  #over = false;

  /**
   * @param {string} url where a WebSocket would connect
   * @param {{fetch: Fetch, clock: Clock, window?: any}} page
   */
  constructor(url, { fetch, clock, window }) {
    this.#fetch = fetch;
    this.#url = below(url, "poll");
    this.#clock = clock;
    this.#window = window;
    this.#uplink = new Uplink(fetch, below(url, "send"), clock, this.#end.bind(this));
    window?.addEventListener?.("pagehide", this.#leave);
    void this.#run();
  }

  /** @param {string} text */
  send(text) {
    this.#uplink.send(text);
  }

  close() {
    this.#over = true;
    this.#leave();
    this.#abort.abort();
    this.#window?.removeEventListener?.("pagehide", this.#leave);
  }

  /** Without it the server would wait for the next poll before it lets us go. */
  #leave = () => this.#uplink.leave();

  async #run() {
    for (let failures = 0; !this.#over; ) {
      const answer = await this.#poll();
      if (this.#over) return;
      if (typeof answer !== "number") {
        failures = 0;
        this.#take(answer);
      } else if (FINAL.has(answer) || (failures += 1) === TRIES) {
        return this.#end(ABNORMAL, `a poll was answered with ${answer || "nothing"}`);
      } else {
        const delay = WAIT_MS * 2 ** failures;
        await new Promise((resolve) => this.#clock.setTimeout(() => resolve(undefined), delay));
      }
    }
  }

  /** @returns {Promise<Batch | number>} the status of an answer without a batch; 0: no answer */
  async #poll() {
    const { ticket } = this.#uplink;
    const body = JSON.stringify(ticket ? { ticket, ack: this.#ack } : {});
    const { signal } = this.#abort;
    try {
      const response = await this.#fetch(this.#url, { ...post(body), signal });
      return response.ok ? await response.json() : response.status;
    } catch {
      return 0;
    }
  }

  /** @param {Batch} answer */
  #take({ batch, messages, ticket, close }) {
    this.#uplink.ticket = ticket;
    this.onheard?.();
    if (batch > this.#ack) {
      this.#ack = batch;
      for (const message of messages) {
        if (this.#over) return;
        this.onmessage?.({ data: JSON.stringify(message) });
      }
    }
    if (close) this.#end(close.code, close.reason);
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #end(code, reason) {
    if (this.#over) return;
    this.#uplink.stop();
    this.close();
    this.onclose?.({ code, reason });
  }
}
