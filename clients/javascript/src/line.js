/**
 * The socket in use, of whatever transport it is.
 *
 * What lives here: listening to it, and letting it go. What must not: what messages mean, when to
 * dial and when to hang up (connection.js).
 *
 * @typedef {object} Ear who hears what comes
 * @property {(data: unknown) => void} message
 * @property {(code: number, reason: string) => void} close the other end has closed, or it was lost
 * @property {() => void} sign the server is there: it was heard, without a message; WebSockets do
 *   not tell
 */

import { NORMAL } from "./codes.js";

export class Line {
  /** @type {any} */
  #socket = null;
  #ear;

  /** @param {Ear} ear */
  constructor(ear) {
    this.#ear = ear;
  }

  /** Whether there is a socket. */
  get taken() {
    return this.#socket !== null;
  }

  /** @param {any} socket */
  take(socket) {
    this.#socket = socket;
    socket.onmessage = (/** @type {any} */ { data }) => this.#ear.message(data);
    socket.onclose = (/** @type {any} */ { code, reason }) => this.#ear.close(code, reason);
    socket.onheard = () => this.#ear.sign();
  }

  /** @param {string} text */
  send(text) {
    this.#socket.send(text);
  }

  /**
   * Lets the socket go without waiting for its close event: on a dead network that takes minutes.
   * @param {number} code
   */
  letGo(code) {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = socket.onheard = null;
    if (code === NORMAL || code >= 3000) socket.close(code);
    else socket.close();
  }
}
