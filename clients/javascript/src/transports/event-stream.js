/**
 * Reads `text/event-stream` (WHATWG HTML, section 9.2.6) from pieces of text.
 *
 * What lives here: the parser. What must not: where the text comes from, what events mean.
 */

export class EventStreamParser {
  #onEvent;
  #onComment;
  #rest = "";
  #data = "";
  #name = "";
  #begun = false;

  /**
   * @param {(name: string, data: string) => void} onEvent
   * @param {() => void} onComment
   */
  constructor(onEvent, onComment) {
    this.#onEvent = onEvent;
    this.#onComment = onComment;
  }

  /** @param {string} text what came next; lines may be cut anywhere */
  feed(text) {
    if (!this.#begun && text) {
      this.#begun = true;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = /** @type {string} */ (lines.pop());
    for (const line of lines) this.#line(line);
  }

  /** @param {string} line */
  #line(line) {
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) return this.#onComment();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data += `${value}\n`;
    else if (field === "event") this.#name = value;
  }

  #dispatch() {
    const data = this.#data;
    const name = this.#name || "message";
    this.#data = this.#name = "";
    if (data) this.#onEvent(name, data.slice(0, -1));
  }
}
