/**
 * One connection that comes back: its state machine.
 *
 * What lives here: connecting, staying alive, coming back, and to whom a message goes.
 * What must not: what a topic does with its messages (topic.js), which request an answer is for
 * (requests.js), the socket (line.js), the page around us (page.js), the policy of close codes
 * (codes.js).
 *
 * @typedef {"connecting" | "open" | "waiting" | "closed"} ConnectionState
 * @typedef {{attempt: number, retryIn: number | null, code: number | null, reason: string}} Details
 *   `attempt`: tries since the connection last held; `retryIn`: milliseconds until the next, in
 *   "waiting"; `code` and `reason`: how the connection ended, in "waiting" and "closed"
 * @typedef {{now(): number, setTimeout(fn: () => void, ms: number): unknown,
 *   clearTimeout(timer: any): void}} Clock
 *
 * @typedef {object} Options
 * @property {import("./transports/list.js").TransportName[]} [transports] which may be used, the
 *   best first; by default all
 * @property {any} [WebSocket] the constructor to use; by default the global one
 * @property {any} [fetch] the function to use; by default the global one
 * @property {any} [window] for tests: the page (`location`, `document`, `addEventListener`)
 * @property {Clock} [clock] for tests
 * @property {() => number} [random] for tests: from 0 up to, not including, 1
 *
 * @typedef {import("./protocol.js").ServerMessage} ServerMessage
 * @typedef {import("./protocol.js").RequestBody} RequestBody
 * @typedef {import("./requests.js").OnAnswer} OnAnswer
 *
 * @typedef {object} Link what a topic may ask of its connection
 * @property {() => ConnectionState} state
 * @property {(body: RequestBody, onAnswer: OnAnswer) => number} request sends; returns the id
 * @property {(id: number) => void} forget the answer is not waited for any more
 * @property {Clock} clock
 * @property {() => number} random
 */

import { retryDelay } from "./backoff.js";
import * as codes from "./codes.js";
import { Emitter } from "./emitter.js";
import { Heartbeat } from "./heartbeat.js";
import { Ladder, STEADY_MS } from "./ladder.js";
import { Line } from "./line.js";
import { Notices } from "./notices.js";
import { Page } from "./page.js";
import { BadMessage, VERSION, decode, encode, isTopicName } from "./protocol.js";
import { Requests } from "./requests.js";
import { Topic } from "./topic.js";

/**
 * State, happening, next state. What is not in the table changes nothing.
 * @type {Record<ConnectionState, Record<string, ConnectionState>>}
 */
const TRANSITIONS = {
  connecting: { welcomed: "open", lost: "waiting", refused: "closed", close: "closed" },
  open: { lost: "waiting", refused: "closed", close: "closed", reconnect: "connecting" },
  waiting: { due: "connecting", reconnect: "connecting", close: "closed" },
  closed: { reconnect: "connecting" },
};

/**
 * No welcome in this time: browsers give an unanswered handshake up to minutes. Less where another
 * transport can be tried.
 */
const WELCOME_MS = 20_000;
const WELCOME_OR_NEXT_MS = 10_000;

/** @type {Clock} */
export const SYSTEM_CLOCK = {
  now: () => performance.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

export class Connection {
  /** @type {ConnectionState} */
  #state = "connecting";
  #ladder;
  #page;
  #clock;
  #random;
  #heartbeat;
  #line = new Line({
    message: (data) => this.#receive(data),
    close: (code, reason) => this.#ended(code, reason),
    sign: () => this.#heartbeat.heard(),
  });
  /** @type {unknown} */
  #timer = undefined;
  #attempt = 0;
  #openedAt = Infinity;
  #serverChoseDelay = false;
  #requests = new Requests();
  /** @type {Map<string, Topic>} */
  #topics = new Map();
  #emitter = new Emitter();
  #notices = new Notices();

  /**
   * @param {string} url
   * @param {import("./transports/list.js").Transport[]} transports
   * @param {Options & {clock: Clock}} options
   */
  constructor(url, transports, { window, clock, random = Math.random }) {
    this.#page = new Page(window, () => this.#wake());
    const { storage } = this.#page;
    this.#ladder = new Ladder(transports, url, { clock, storage }, this.#move.bind(this));
    this.#clock = clock;
    this.#random = random;
    this.#heartbeat = new Heartbeat(
      clock,
      () => this.#line.send(encode({ type: "ping" })),
      () => this.#ended(codes.PING_TIMEOUT, "pings unanswered"),
    );
    this.#dial();
  }

  get state() {
    return this.#state;
  }

  /** The name of the transport in use, or to be used next. */
  get transport() {
    return this.#ladder.name;
  }

  /**
   * @param {string} name
   * @returns {Topic} the same object whenever it is asked for by the same name
   * @throws {TypeError} for a name that no topic can have
   */
  topic(name) {
    if (!isTopicName(name)) throw new TypeError(`"${name}" cannot be the name of a topic.`);
    const topic = this.#topics.get(name) ?? new Topic(name, this.#link());
    this.#topics.set(name, topic);
    return topic;
  }

  /**
   * @param {"state"} name
   * @param {(state: ConnectionState, details: Details) => void} fn
   * @returns {() => void} takes the registration back
   */
  on(name, fn) {
    return this.#emitter.on(name, fn);
  }

  /** Closes the connection for good. Joined topics keep their positions for a `reconnect()`. */
  close() {
    this.#step("close", codes.NORMAL);
  }

  /** Connects anew and at once, whatever the state; joined topics resume where they were. */
  reconnect() {
    this.#attempt = 0;
    this.#step("reconnect");
  }

  /**
   * @param {string} happening
   * @param {number | null} [code] how a connection ended
   * @param {string} [reason]
   */
  #step(happening, code = null, reason = "") {
    const before = this.#state;
    const next = TRANSITIONS[before][happening];
    if (!next) return;
    this.#state = next;
    this.#clock.clearTimeout(this.#timer);
    if (next !== "open") this.#hangUp(code ?? codes.NORMAL);
    let retryIn = null;
    if (next === "open") this.#openedAt = this.#clock.now();
    if (next === "waiting") retryIn = this.#wait(code ?? codes.ABNORMAL, reason);
    if (next === "closed") this.#page.unwatch();
    const details = { attempt: this.#attempt, retryIn, code, reason };
    this.#notices.add(() => this.#tell(before, next, details));
    // A callback may have closed the connection, or have dialled already, meanwhile.
    if (this.#state === "connecting" && !this.#line.taken) this.#dial();
  }

  #dial() {
    this.#openedAt = Infinity;
    this.#page.watch();
    try {
      this.#line.take(this.#ladder.open());
    } catch (error) {
      this.#step("refused", null, String(error));
      throw error;
    }
    const patience = this.#ladder.hasOthers ? WELCOME_OR_NEXT_MS : WELCOME_MS;
    const late = () => this.#ended(codes.ABNORMAL, `no welcome in ${patience} ms`, true);
    this.#timer = this.#clock.setTimeout(late, patience);
  }

  /** @param {number} code */
  #hangUp(code) {
    this.#ladder.stop();
    this.#heartbeat.stop();
    this.#line.letGo(code);
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @returns {number} milliseconds until the next try
   */
  #wait(code, reason) {
    if (this.#clock.now() - this.#openedAt >= STEADY_MS) this.#attempt = 0;
    const delay = retryDelay(this.#attempt, this.#random, code, reason);
    this.#attempt += 1;
    this.#serverChoseDelay = codes.asksForTime(code);
    this.#timer = this.#clock.setTimeout(() => this.#step("due"), delay);
    return delay;
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} [silent] nothing was heard at all
   */
  #ended(code, reason, silent) {
    if (!this.#page.offline) this.#ladder.ended(code, this.#clock.now() - this.#openedAt, silent);
    this.#step(codes.reconnectsAfter(code) ? "lost" : "refused", code, reason);
  }

  /** @param {unknown} text */
  #receive(text) {
    let message;
    try {
      message = decode(text);
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error;
      return this.#ended(codes.BAD_MESSAGE, `the server sent ${error.message}`);
    }
    if (this.#state === "open") this.#heartbeat.heard();
    if (message) this.#handle(message);
  }

  /** @param {ServerMessage} message */
  #handle(message) {
    switch (message.type) {
      case "welcome":
        return this.#welcome(message);
      case "joined":
      case "left":
      case "reply":
      case "error":
        return this.#requests.answered(message);
      case "event":
      case "gap":
      case "presence":
      case "headcount":
        return this.#topics.get(message.topic)?.receive(message);
    }
  }

  /** @param {import("./protocol.js").Welcome} message */
  #welcome({ version, ping }) {
    if (version !== VERSION) {
      const reason = `the server speaks version ${version} of the protocol, this client ${VERSION}`;
      return this.#ended(codes.UNSUPPORTED_VERSION, reason);
    }
    if (this.#state !== "connecting") return;
    this.#heartbeat.start(ping);
    this.#ladder.opened();
    this.#step("welcomed");
  }

  /**
   * Moves over to a better transport. The topics resume where they were: nothing is lost, and what
   * comes twice is dropped. Not while requests are unanswered: their answers would be lost.
   * @param {any} socket
   * @param {import("./protocol.js").Welcome} welcome
   */
  #move(socket, { version, ping }) {
    if (this.#state !== "open" || this.#requests.pending || version !== VERSION) return false;
    this.#line.letGo(codes.NORMAL);
    this.#line.take(socket);
    this.#openedAt = this.#clock.now();
    this.#heartbeat.start(ping);
    this.#notices.add(() => {
      const topics = [...this.#topics.values()];
      for (const topic of topics) topic.lost();
      for (const topic of topics) topic.opened();
    });
    return true;
  }

  /** @returns {Link} */
  #link() {
    return {
      state: () => this.#state,
      request: (body, onAnswer) => this.#requests.send(this.#line, body, onAnswer),
      forget: (id) => this.#requests.forget(id),
      clock: this.#clock,
      random: this.#random,
    };
  }

  /**
   * @param {ConnectionState} before
   * @param {ConnectionState} state
   * @param {Details} details
   */
  #tell(before, state, details) {
    const topics = [...this.#topics.values()];
    if (before === "open") {
      const unanswered = this.#requests.lost();
      for (const topic of topics) topic.lost();
      for (const onAnswer of unanswered) onAnswer(null);
    }
    if (state === "open") for (const topic of topics) topic.opened();
    if (state === "closed") for (const topic of topics) topic.closed();
    this.#emitter.emit("state", state, details);
  }

  /** The network or the page came back: do not wait for the timer, do not trust the old socket. */
  #wake() {
    if (this.#state === "waiting" && !this.#serverChoseDelay) this.#step("due");
    else if (this.#state === "open") this.#heartbeat.probe();
  }
}
