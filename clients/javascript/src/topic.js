/**
 * One topic: joining it, staying joined through losses, its events in order and each once.
 *
 * What lives here: the topic's state machine and its position. What must not: sockets and
 * reconnecting (connection.js), unanswered calls (calls.js), the list of members (presence.js).
 *
 * @typedef {"left" | "joining" | "joined"} TopicState
 * @typedef {import("./connection.js").Link} Link
 * @typedef {import("./protocol.js").Answer} Answer
 * @typedef {import("./protocol.js").Joined} Joined
 * @typedef {import("./protocol.js").Failure} Failure
 * @typedef {import("./protocol.js").TopicMessage} TopicMessage
 * @typedef {{promise: Promise<any>, resolve: (value: any) => void,
 *   reject: (reason: unknown) => void}} Deferred
 */

import { gapDelay, retryDelay } from "./backoff.js";
import { Calls, newKey } from "./calls.js";
import { Emitter } from "./emitter.js";
import { SeawayError, report } from "./error.js";
import { Presence } from "./presence.js";
import { isObject } from "./protocol.js";

/**
 * State, happening, next state. What is not in the table changes nothing. A topic with a gap stays
 * "joined" while it joins again: the server still answers its calls.
 * @type {Record<TopicState, Record<string, TopicState>>}
 */
const TRANSITIONS = {
  left: { join: "joining" },
  joining: { joined: "joined", refused: "left", leave: "left" },
  joined: { lost: "joining", refused: "left", leave: "left" },
};

/** Refusals that pass by themselves: a topic that was joined before asks again. */
const PASSING = new Set(["unavailable", "failed"]);

export class Topic {
  #name;
  #link;
  #calls;
  #presence = new Presence();
  /** @type {TopicState} */
  #state = "left";
  /** @type {import("./protocol.js").Position | null} null: not known, events are not taken */
  #position = null;
  /** @type {Promise<any> | null} what `join()` returned */
  #promise = null;
  /** @type {Deferred | null} until the first join is answered */
  #first = null;
  /** @type {object | null} stands for the join that is unanswered; answers to others are stale */
  #asked = null;
  #refusals = 0;
  /** @type {unknown} until the topic joins again */
  #timer = undefined;
  /** @type {TopicMessage[] | null} what came before the first snapshot could be painted */
  #held = null;
  /** @type {unknown} */
  #heldTimer = undefined;
  #events = new Emitter();
  #notices = new Emitter();

  /**
   * @param {string} name
   * @param {Link} link
   */
  constructor(name, link) {
    this.#name = name;
    this.#link = link;
    this.#calls = new Calls(link);
  }

  get name() {
    return this.#name;
  }

  get state() {
    return this.#state;
  }

  get presence() {
    return this.#presence;
  }

  /**
   * Joins, as soon as the connection is open. Asked again before `leave()`, returns the same
   * promise.
   * @returns {Promise<any>} the first snapshot; rejects with a SeawayError when refused
   */
  join() {
    if (this.#state !== "left" && this.#promise) return this.#promise;
    if (this.#link.state() === "closed") return Promise.reject(disconnected());
    this.#first = deferred();
    this.#promise = this.#first.promise;
    this.#move("join");
    this.#ask();
    return this.#promise;
  }

  /** Leaves at once, as far as the application sees. */
  leave() {
    if (this.#state === "left") return;
    const known = this.#asked || this.#state === "joined";
    if (known && this.#link.state() === "open") {
      this.#link.request({ type: "leave", topic: this.#name }, () => {});
    }
    const left = new SeawayError("not_joined", "The topic was left.");
    this.#end("leave", left, left);
  }

  /**
   * Runs an action of the topic, once the topic is joined.
   * @param {string} action
   * @param {object} [args]
   * @param {{timeout?: number, once?: boolean}} [options] `timeout` in milliseconds, the wait for a
   *   join included; `once`: asked again after a loss, for actions that take effect once
   * @returns {Promise<any>} what the action returned; rejects with a SeawayError
   */
  call(action, args = {}, { timeout = 10_000, once = false } = {}) {
    if (typeof action !== "string" || !isObject(args)) {
      return Promise.reject(new TypeError("call(action, args): a string and an object."));
    }
    if (this.#state === "left") {
      const text = `"${action}" was called on a topic that is not joined.`;
      return Promise.reject(new SeawayError("not_joined", text));
    }
    if (this.#link.state() === "closed") return Promise.reject(disconnected());
    const key = once ? { key: newKey() } : {};
    const body = { type: /** @type {const} */ ("call"), topic: this.#name, action, args, ...key };
    const answer = this.#calls.add(body, timeout);
    if (this.#state === "joined" && this.#link.state() === "open") this.#calls.flush();
    return answer;
  }

  /**
   * @param {string} event
   * @param {(data: any, info: {event: string, offset: number}) => void} fn
   * @returns {() => void} takes the registration back
   */
  on(event, fn) {
    return this.#events.on(event, fn);
  }

  /**
   * Calls `fn` with the snapshot at the first join, and whenever events were missed since: paint
   * from here and you are right after an outage too.
   * @param {(snapshot: any) => void} fn
   * @returns {() => void} takes the registration back
   */
  onSnapshot(fn) {
    return this.#notices.on("snapshot", fn);
  }

  /**
   * @param {(state: TopicState, error: SeawayError | null) => void} fn `error`: why the topic was
   *   left, when the server refused it
   * @returns {() => void} takes the registration back
   */
  onState(fn) {
    return this.#notices.on("state", fn);
  }

  /** @internal The connection is open: join, or join again from where we were. */
  opened() {
    this.#refusals = 0;
    this.#ask();
  }

  /** @internal The connection was lost: what it still brought counts. */
  lost() {
    this.#release();
    this.#clearTimer();
    this.#move("lost");
  }

  /** @internal The connection will not come back by itself; `reconnect()` resumes. */
  closed() {
    if (this.#first) this.#end("refused", disconnected(), disconnected());
    else this.#calls.fail(disconnected());
  }

  /**
   * @internal
   * @param {TopicMessage} message
   */
  receive(message) {
    if (this.#state !== "joined") return;
    if (this.#held) this.#held.push(message);
    else if (message.type === "event") this.#event(message);
    else if (message.type === "gap") this.#gap();
    else if (message.type === "headcount") this.#presence.tell(message);
    else this.#presence.receive(message);
  }

  #ask() {
    this.#clearTimer();
    if (this.#state === "left" || this.#asked || this.#link.state() !== "open") return;
    const asked = (this.#asked = {});
    const since = this.#position ? { since: { ...this.#position } } : {};
    this.#link.request({ type: "join", topic: this.#name, ...since }, (answer) => {
      if (asked !== this.#asked) return;
      this.#asked = null;
      if (answer?.type === "joined") this.#joined(answer);
      else if (answer?.type === "error") this.#refused(answer);
    });
  }

  /** @param {Joined} answer */
  #joined({ epoch, offset, recovered, data, members = [], headcount }) {
    const first = this.#first;
    this.#first = null;
    this.#position = { epoch, offset };
    this.#refusals = 0;
    first?.resolve(data);
    if (first) this.#hold();
    this.#calls.flush();
    this.#move("joined");
    if (first || !recovered) this.#notices.emit("snapshot", data);
    if (this.#state !== "joined") return;
    if (headcount) this.#presence.tell(headcount);
    else this.#presence.replace(members);
  }

  /** @param {Failure} answer */
  #refused({ code, message, data }) {
    if (!this.#first && PASSING.has(code)) {
      const delay = retryDelay(this.#refusals, this.#link.random);
      this.#refusals += 1;
      this.#timer = this.#link.clock.setTimeout(() => this.#ask(), delay);
      return;
    }
    const error = new SeawayError(code, message, data);
    if (!this.#first && !this.#notices.has("state")) report(error);
    const text = `The topic was not joined: ${message}`;
    this.#end("refused", error, new SeawayError("not_joined", text));
  }

  /** @param {import("./protocol.js").EventMessage} message */
  #event({ offset, event, data }) {
    if (!this.#position || offset <= this.#position.offset) return;
    if (offset > this.#position.offset + 1) return this.#gap();
    this.#position.offset = offset;
    this.#events.emit(event, data, { event, offset });
  }

  #gap() {
    if (!this.#position) return;
    this.#position = null;
    const delay = gapDelay(this.#link.random);
    this.#timer = this.#link.clock.setTimeout(() => this.#ask(), delay);
  }

  /**
   * The first snapshot is handed over by a promise, and what awaits it runs only after this turn of
   * the event loop. Messages that came in the same turn wait, or an older snapshot would be painted
   * over them.
   */
  #hold() {
    this.#held = [];
    this.#heldTimer = this.#link.clock.setTimeout(() => this.#release(), 0);
  }

  #release() {
    this.#link.clock.clearTimeout(this.#heldTimer);
    const held = this.#held ?? [];
    this.#held = null;
    for (const message of held) this.receive(message);
  }

  /**
   * @param {"leave" | "refused"} happening
   * @param {SeawayError} error for who joins
   * @param {SeawayError} callError for calls that were not sent yet
   */
  #end(happening, error, callError) {
    const first = this.#first;
    this.#clearTimer();
    this.#link.clock.clearTimeout(this.#heldTimer);
    this.#first = this.#asked = this.#position = this.#held = null;
    first?.reject(error);
    this.#calls.fail(callError);
    this.#move(happening, happening === "refused" ? error : null);
    if (this.#state === "left") this.#presence.replace([]);
  }

  #clearTimer() {
    this.#link.clock.clearTimeout(this.#timer);
  }

  /**
   * @param {string} happening
   * @param {SeawayError | null} [error]
   */
  #move(happening, error = null) {
    const next = TRANSITIONS[this.#state][happening];
    if (!next) return;
    this.#state = next;
    this.#notices.emit("state", next, error);
  }
}

/** @returns {Deferred} */
function deferred() {
  /** @type {any} */
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

function disconnected() {
  return new SeawayError("disconnected", "The connection is closed.");
}
