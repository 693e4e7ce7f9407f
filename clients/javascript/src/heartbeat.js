/**
 * Notices that nothing comes any more (docs/reference/protocol.md, "Staying alive").
 *
 * What lives here: one timer. It is not moved by each message: it looks, when it is due, at when
 * the last one came. What must not: the socket.
 *
 * @typedef {import("./connection.js").Clock} Clock
 */

/** How long an answer to a ping may take. */
const GRACE_MS = 10_000;

/** Bounds for what the server asks for: no storm of pings, and what timers can count (2^31 ms). */
const SHORTEST_MS = 1_000;
const LONGEST_MS = 2 ** 31 - 1;

export class Heartbeat {
  #clock;
  #ping;
  #dead;
  #silence = 0;
  #heard = 0;
  #waitsForPong = false;
  /** @type {unknown} */
  #timer = undefined;

  /**
   * @param {Clock} clock
   * @param {() => void} ping sends a ping
   * @param {() => void} dead is called once, when no answer came
   */
  constructor(clock, ping, dead) {
    this.#clock = clock;
    this.#ping = ping;
    this.#dead = dead;
  }

  /** @param {number} silence milliseconds without a message after which to ping */
  start(silence) {
    this.#silence = Math.min(Math.max(silence, SHORTEST_MS), LONGEST_MS);
    this.heard();
    this.#arm(this.#silence);
  }

  /** A message came, whatever it was. */
  heard() {
    this.#heard = this.#clock.now();
    this.#waitsForPong = false;
  }

  /** Asks now: the network may have changed under us. */
  probe() {
    if (this.#waitsForPong) return;
    this.#waitsForPong = true;
    this.#arm(GRACE_MS);
    this.#ping();
  }

  stop() {
    this.#clock.clearTimeout(this.#timer);
  }

  #check() {
    if (this.#waitsForPong) return this.#dead();
    const left = this.#heard + this.#silence - this.#clock.now();
    if (left > 0) this.#arm(left);
    else this.probe();
  }

  /** @param {number} ms */
  #arm(ms) {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => this.#check(), ms);
  }
}
