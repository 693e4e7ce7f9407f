/**
 * What was asked of the server and is not answered yet.
 *
 * What lives here: the ids of requests, and who waits for which answer. What must not: the socket's
 * coming and going (connection.js), what a topic asks for (topic.js).
 *
 * @typedef {import("./protocol.js").Answer} Answer
 * @typedef {import("./protocol.js").RequestBody} RequestBody
 * @typedef {(answer: Answer | null) => void} OnAnswer
 *   null: the connection was lost before an answer came
 */

import { encode } from "./protocol.js";

export class Requests {
  #lastId = 0;
  /** @type {Map<number, OnAnswer>} */
  #waiting = new Map();

  /** Whether any is unanswered. */
  get pending() {
    return this.#waiting.size > 0;
  }

  /**
   * Sends a request.
   * @param {{send(text: string): void}} socket
   * @param {RequestBody} body
   * @param {OnAnswer} onAnswer
   * @returns {number} the request's id
   * @throws {TypeError} for what JSON cannot carry; then nothing was sent
   */
  send(socket, body, onAnswer) {
    const id = this.#lastId + 1;
    socket.send(encode({ ...body, id }));
    this.#lastId = id;
    this.#waiting.set(id, onAnswer);
    return id;
  }

  /** @param {Answer} answer what nobody waits for is ignored */
  answered(answer) {
    const onAnswer = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    onAnswer?.(answer);
  }

  /** @param {number} id its answer is not waited for any more */
  forget(id) {
    this.#waiting.delete(id);
  }

  /** No answer comes any more; returns whom to tell. */
  lost() {
    const unanswered = [...this.#waiting.values()];
    this.#waiting.clear();
    return unanswered;
  }
}
