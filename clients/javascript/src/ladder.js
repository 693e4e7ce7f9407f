/**
 * Which transport to use: down when one does not work here, and up again when a better one does.
 *
 * What lives here: counting failures, remembering across pages, and trying a better transport in
 * the background. What must not: the connection's own state, reconnecting, transports themselves.
 *
 * @typedef {import("./connection.js").Clock} Clock
 * @typedef {import("./transports/list.js").Transport} Transport
 * @typedef {import("./protocol.js").Welcome} Welcome
 * @typedef {{getItem(key: string): string | null, setItem(key: string, value: string): void,
 *   removeItem(key: string): void}} Storage
 */

import { ABNORMAL, NO_STATUS, PING_TIMEOUT } from "./codes.js";
import { decode } from "./protocol.js";

/** Failures in a row after which a transport is taken not to work here. */
const PATIENCE = 2;

/** A connection that held this long works; some proxies let the handshake pass and no more. */
export const STEADY_MS = 5_000;

/** Pings that nobody answers soon after the start: something on the way swallows what is sent. */
const SWALLOWED_MS = 60_000;

/** For how long a page remembers what worked, and its successors in the same tab. */
const MEMORY_MS = 10 * 60_000;

/** Until a better transport is tried; doubled after each try in vain. */
const FIRST_CLIMB_MS = 60_000;
const LONGEST_CLIMB_MS = 30 * 60_000;

/** How often, and for how long, a move waits for a moment without unanswered requests. */
const MOVE_MS = 100;
const MOVE_TRIES = 300;

export class Ladder {
  #transports;
  #url;
  #clock;
  #storage;
  #move;
  #at = 0;
  #failures = 0;
  #climbMs = FIRST_CLIMB_MS;
  /** @type {unknown} */
  #timer = undefined;
  /** @type {any} the better transport that is being tried */
  #candidate = null;

  /**
   * @param {Transport[]} transports the best first; at least one
   * @param {string} url
   * @param {{clock: Clock, storage?: Storage | null}} page
   * @param {(socket: any, welcome: Welcome) => boolean} move takes the connection over to a
   *   transport that has proved itself; false: not at this moment
   */
  constructor(transports, url, { clock, storage }, move) {
    this.#transports = transports;
    this.#url = url;
    this.#clock = clock;
    this.#storage = storage ?? null;
    this.#move = move;
    this.#at = this.#remembered();
  }

  /** The name of the transport in use. */
  get name() {
    return this.#transports[this.#at].name;
  }

  /** Whether there is another one to try. */
  get hasOthers() {
    return this.#transports.length > 1;
  }

  /** Opens a connection. */
  open() {
    return this.#transports[this.#at].open(this.#url);
  }

  /** The server has welcomed us. */
  opened() {
    if (!this.hasOthers) return;
    this.#arm(STEADY_MS, () => {
      this.#remember();
      this.#wait();
    });
  }

  /** The connection is to be given up, whatever the reason. */
  stop() {
    this.#clock.clearTimeout(this.#timer);
    this.#drop();
  }

  /**
   * The connection has ended, by itself or without a welcome in time.
   * @param {number} code
   * @param {number} held milliseconds since the welcome; negative without one
   * @param {boolean} [silent] no welcome came although nothing was closed
   */
  ended(code, held, silent = false) {
    const abrupt = (code === ABNORMAL || code === NO_STATUS) && held < STEADY_MS;
    const swallowed = code === PING_TIMEOUT && held < SWALLOWED_MS;
    if (!abrupt && !swallowed) {
      if (held >= STEADY_MS) this.#failures = 0;
      return;
    }
    this.#failures += silent ? PATIENCE : 1;
    if (this.#failures < PATIENCE || !this.hasOthers) return;
    // Below the last is the first again: it may be the network that is gone, not a transport.
    this.#failures = 0;
    this.#at = (this.#at + 1) % this.#transports.length;
  }

  #wait() {
    if (this.#at === 0) return;
    this.#arm(this.#climbMs, () => this.#climb(0));
    this.#climbMs = Math.min(2 * this.#climbMs, LONGEST_CLIMB_MS);
  }

  /**
   * @param {number} to the transport to try; those between it and ours if it fails
   * @returns {void}
   */
  #climb(to) {
    if (to >= this.#at) return this.#wait();
    let candidate;
    try {
      candidate = this.#transports[to].open(this.#url);
    } catch {
      return this.#climb(to + 1);
    }
    this.#candidate = candidate;
    const failed = () => {
      this.#drop();
      this.#climb(to + 1);
    };
    candidate.onclose = failed;
    candidate.onmessage = (/** @type {{data: unknown}} */ { data }) => {
      const welcome = decoded(data);
      if (welcome?.type !== "welcome") return failed();
      candidate.onmessage = null;
      this.#arm(STEADY_MS, () => this.#takeOver(to, welcome, MOVE_TRIES));
    };
    this.#arm(2 * STEADY_MS, failed);
  }

  /**
   * @param {number} to
   * @param {Welcome} welcome
   * @param {number} tries
   */
  #takeOver(to, welcome, tries) {
    const candidate = this.#candidate;
    if (this.#move(candidate, welcome)) {
      this.#candidate = null;
      this.#at = to;
      this.#failures = 0;
      this.#climbMs = FIRST_CLIMB_MS;
      this.#remember();
      this.#wait();
    } else if (tries > 0) {
      this.#arm(MOVE_MS, () => this.#takeOver(to, welcome, tries - 1));
    } else {
      this.#drop();
      this.#wait();
    }
  }

  #drop() {
    const candidate = this.#candidate;
    this.#candidate = null;
    if (!candidate) return;
    candidate.onmessage = candidate.onclose = null;
    candidate.close();
  }

  /**
   * @param {number} ms
   * @param {() => void} fn
   */
  #arm(ms, fn) {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(fn, ms);
  }

  get #key() {
    return `seaway.transport ${this.#url}`;
  }

  #remember() {
    try {
      if (this.#at === 0) this.#storage?.removeItem(this.#key);
      else this.#storage?.setItem(this.#key, JSON.stringify([this.name, Date.now()]));
    } catch {
      // Storage may be forbidden or full: then every page finds out by itself.
    }
  }

  #remembered() {
    try {
      const [name, since] = JSON.parse(this.#storage?.getItem(this.#key) ?? "[]");
      const fresh = Math.abs(Date.now() - since) < MEMORY_MS;
      return fresh ? Math.max(0, this.#transports.findIndex((each) => each.name === name)) : 0;
    } catch {
      return 0;
    }
  }
}

/** @param {unknown} data */
function decoded(data) {
  try {
    return decode(data);
  } catch {
    return null;
  }
}
