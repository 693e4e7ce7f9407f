/**
 * Names, and the functions to call for each.
 *
 * What lives here: registering, unregistering and calling. A function that throws is reported, and
 * the others are called all the same.
 */

import { report } from "./error.js";

export class Emitter {
  /** @type {Map<string, Set<{fn: Function}>>} */
  #listeners = new Map();

  /**
   * @param {string} name
   * @param {Function} fn
   * @returns {() => void} takes this registration back, and no other of the same function
   */
  on(name, fn) {
    if (typeof fn !== "function") throw new TypeError(`The listener for "${name}" is no function.`);
    const listeners = this.#listeners.get(name) ?? new Set();
    const listener = { fn };
    this.#listeners.set(name, listeners.add(listener));
    return () => {
      listeners.delete(listener);
    };
  }

  /** @param {string} name */
  has(name) {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  /**
   * @param {string} name
   * @param {...unknown} args
   */
  emit(name, ...args) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener.fn(...args);
      } catch (error) {
        report(error);
      }
    }
  }
}
