/**
 * Who is present at a topic, or how many.
 *
 * What lives here: the list, the numbers, and the changes that the server tells of.
 *
 * @typedef {import("./protocol.js").Member} Member
 * @typedef {import("./protocol.js").Headcount} Headcount
 */

import { Emitter } from "./emitter.js";

export class Presence {
  /** @type {Map<string, Member>} */
  #members = new Map();
  /** @type {Headcount | null} where the server tells numbers */
  #headcount = null;
  #emitter = new Emitter();

  /**
   * Everyone present, this connection included; empty for a topic without presence, and for one
   * that tells only how many there are.
   */
  get members() {
    return [...this.#members.values()];
  }

  /** How many connections are present, this one included. */
  get count() {
    return this.#headcount?.members ?? this.#members.size;
  }

  /**
   * How many people they are, several connections of one user counted once; null where the server
   * tells who is present, and not how many.
   */
  get people() {
    return this.#headcount?.people ?? null;
  }

  /**
   * @param {"change"} name
   * @param {(members: Member[], headcount: {count: number, people: number | null}) => void} fn
   * @returns {() => void} takes the registration back
   */
  on(name, fn) {
    return this.#emitter.on(name, fn);
  }

  /**
   * @internal The server sent the whole list, or there is none any more.
   * @param {Member[]} members
   */
  replace(members) {
    const nothing = members.length === 0 && this.#members.size === 0;
    const counted = this.#headcount !== null;
    this.#headcount = null;
    this.#members = new Map(members.map((member) => [member.id, member]));
    if (!nothing || counted) this.#changed();
  }

  /**
   * @internal The server told how many there are.
   * @param {Headcount} headcount
   */
  tell({ members, people }) {
    const { members: before, people: peopleBefore } = this.#headcount ?? {};
    this.#headcount = { members, people };
    if (members !== before || people !== peopleBefore) this.#changed();
  }

  /**
   * @internal Those who left go first: one who left and came back in one message is present.
   * @param {import("./protocol.js").PresenceMessage} message
   */
  receive({ members, entered = [], left = [] }) {
    if (members) return this.replace(members);
    for (const id of left) this.#members.delete(id);
    for (const member of entered) this.#members.set(member.id, member);
    this.#changed();
  }

  #changed() {
    const { count, people } = this;
    this.#emitter.emit("change", this.members, { count, people });
  }
}
