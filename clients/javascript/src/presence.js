/**
 * Who is present at a topic.
 *
 * What lives here: the list, and the changes that the server tells of.
 *
 * @typedef {import("./protocol.js").Member} Member
 */

import { Emitter } from "./emitter.js";

export class Presence {
  /** @type {Map<string, Member>} */
  #members = new Map();
  #emitter = new Emitter();

  /** Everyone present, this connection included; empty for a topic without presence. */
  get members() {
    return [...this.#members.values()];
  }

  /**
   * @param {"change"} name
   * @param {(members: Member[]) => void} fn
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
    this.#members = new Map(members.map((member) => [member.id, member]));
    if (!nothing) this.#emitter.emit("change", this.members);
  }

  /**
   * @internal Those who left go first: one who left and came back in one message is present.
   * @param {import("./protocol.js").PresenceMessage} message
   */
  receive({ members, entered = [], left = [] }) {
    if (members) return this.replace(members);
    for (const id of left) this.#members.delete(id);
    for (const member of entered) this.#members.set(member.id, member);
    this.#emitter.emit("change", this.members);
  }
}
