/**
 * The one kind of error that the client rejects with.
 *
 * What lives here: the class, and how an exception thrown by the application's callbacks is shown.
 * What must not: anything that knows of connections or topics.
 */

export class SeawayError extends Error {
  /**
   * @param {string} code for programs: the server's own, or "timeout", "disconnected", "not_joined"
   * @param {string} message one sentence for people
   * @param {unknown} [data] more for programs, as the server sent it
   */
  constructor(code, message, data = null) {
    super(message);
    this.name = "SeawayError";
    this.code = code;
    this.data = data;
  }
}

/**
 * Shows an error that nobody awaits, without breaking what runs at present.
 * @param {unknown} error
 */
export function report(error) {
  if (typeof globalThis.reportError === "function") globalThis.reportError(error);
  else console.error(error);
}
