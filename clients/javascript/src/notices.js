/**
 * Calls of the application, one after the other.
 *
 * What lives here: their order. A call that changes the state again is told of it after everybody
 * was told of the change before.
 */

export class Notices {
  /** @type {(() => void)[]} */
  #waiting = [];
  #running = false;

  /** @param {() => void} notice is called now, or behind those that are being called */
  add(notice) {
    this.#waiting.push(notice);
    if (this.#running) return;
    this.#running = true;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) next();
    this.#running = false;
  }
}
