/**
 * One connection that comes back: its state machine, its socket, and the requests on it.
 *
 * What lives here: connecting, staying alive, coming back, and matching answers to requests.
 * What must not: what a topic does with its messages (topic.js), the policy of close codes
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
 * @typedef {(answer: import("./protocol.js").Answer | null) => void} OnAnswer
 *   null: the connection was lost before an answer came
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
import { BadMessage, VERSION, decode, encode, isTopicName } from "./protocol.js";
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

/**
 * @param {any} window
 * @returns {import("./ladder.js").Storage | null}
 */
function storageOf(window) {
  try {
    return window?.sessionStorage ?? null;
  } catch {
    return null; // forbidden, as with cookies that are blocked
  }
}

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
  #window;
  #clock;
  #random;
  #heartbeat;
  /** @type {any} */
  #socket = null;
  /** @type {unknown} */
  #timer = undefined;
  #attempt = 0;
  #openedAt = Infinity;
  #serverChoseDelay = false;
  #lastId = 0;
  /** @type {Map<number, OnAnswer>} */
  #requests = new Map();
  /** @type {Map<string, Topic>} */
  #topics = new Map();
  #emitter = new Emitter();
  /** @type {(() => void)[]} */
  #notices = [];
  #notifying = false;

  /**
   * @param {string} url
   * @param {import("./transports/list.js").Transport[]} transports
   * @param {Options & {clock: Clock}} options
   */
  constructor(url, transports, { window, clock, random = Math.random }) {
    const page = { clock, storage: storageOf(window) };
    this.#ladder = new Ladder(transports, url, page, this.#move.bind(this));
    this.#window = window;
    this.#clock = clock;
    this.#random = random;
    this.#heartbeat = new Heartbeat(
      clock,
      () => this.#socket.send(encode({ type: "ping" })),
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
    if (next === "closed") this.#watchPage("removeEventListener");
    const details = { attempt: this.#attempt, retryIn, code, reason };
    this.#notify(() => this.#tell(before, next, details));
    // A callback may have closed the connection, or have dialled already, meanwhile.
    if (this.#state === "connecting" && !this.#socket) this.#dial();
  }

  #dial() {
    this.#openedAt = Infinity;
    this.#watchPage("addEventListener");
    try {
      this.#socket = this.#ladder.open();
    } catch (error) {
      this.#step("refused", null, String(error));
      throw error;
    }
    this.#listen();
    const patience = this.#ladder.hasOthers ? WELCOME_OR_NEXT_MS : WELCOME_MS;
    const late = () => this.#ended(codes.ABNORMAL, `no welcome in ${patience} ms`, true);
    this.#timer = this.#clock.setTimeout(late, patience);
  }

  #listen() {
    const socket = this.#socket;
    socket.onmessage = (/** @type {any} */ { data }) => this.#receive(data);
    socket.onclose = (/** @type {any} */ { code, reason }) => this.#ended(code, reason);
    // What shows that the server is there without being a message; not known to WebSockets.
    socket.onheard = () => this.#heartbeat.heard();
  }

  /**
   * Lets the socket go without waiting for its close event: on a dead network that takes minutes.
   * @param {number} code
   */
  #hangUp(code) {
    this.#ladder.stop();
    this.#letGo(code);
  }

  /** @param {number} code */
  #letGo(code) {
    const socket = this.#socket;
    this.#socket = null;
    this.#heartbeat.stop();
    if (!socket) return;
    socket.onmessage = socket.onclose = socket.onheard = null;
    if (code === codes.NORMAL || code >= 3000) socket.close(code);
    else socket.close();
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
    const offline = this.#window?.navigator?.onLine === false;
    if (!offline) this.#ladder.ended(code, this.#clock.now() - this.#openedAt, silent);
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
      case "error": {
        const onAnswer = this.#requests.get(message.id);
        this.#requests.delete(message.id);
        return onAnswer?.(message);
      }
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
    if (this.#state !== "open" || this.#requests.size > 0 || version !== VERSION) return false;
    this.#letGo(codes.NORMAL);
    this.#socket = socket;
    this.#openedAt = this.#clock.now();
    this.#listen();
    this.#heartbeat.start(ping);
    this.#notify(() => {
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
      request: (body, onAnswer) => {
        const id = this.#lastId + 1;
        this.#socket.send(encode({ ...body, id }));
        this.#lastId = id;
        this.#requests.set(id, onAnswer);
        return id;
      },
      forget: (id) => this.#requests.delete(id),
      clock: this.#clock,
      random: this.#random,
    };
  }

  /**
   * Runs what calls the application, one after the other: a callback that changes the state again
   * is told of it after everybody was told of the change before.
   * @param {() => void} notice
   */
  #notify(notice) {
    this.#notices.push(notice);
    if (this.#notifying) return;
    this.#notifying = true;
    for (let next = this.#notices.shift(); next; next = this.#notices.shift()) next();
    this.#notifying = false;
  }

  /**
   * @param {ConnectionState} before
   * @param {ConnectionState} state
   * @param {Details} details
   */
  #tell(before, state, details) {
    const topics = [...this.#topics.values()];
    if (before === "open") {
      const unanswered = [...this.#requests.values()];
      this.#requests.clear();
      for (const topic of topics) topic.lost();
      for (const onAnswer of unanswered) onAnswer(null);
    }
    if (state === "open") for (const topic of topics) topic.opened();
    if (state === "closed") for (const topic of topics) topic.closed();
    this.#emitter.emit("state", state, details);
  }

  /** @param {"addEventListener" | "removeEventListener"} change */
  #watchPage(change) {
    this.#window?.[change]?.("online", this.#wake);
    this.#window?.document?.[change]?.("visibilitychange", this.#wake);
  }

  /** The network or the page came back: do not wait for the timer, do not trust the old socket. */
  #wake = (/** @type {{type: string}} */ { type }) => {
    const visible = this.#window.document?.visibilityState === "visible";
    if (type === "visibilitychange" && !visible) return;
    if (this.#state === "waiting" && !this.#serverChoseDelay) this.#step("due");
    else if (this.#state === "open") this.#heartbeat.probe();
  };
}
