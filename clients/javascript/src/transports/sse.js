/**
 * Messages down an event stream, up by POST; as if it were a WebSocket.
 *
 * What lives here: the stream. By `fetch` and not by `EventSource`, which would come back by itself
 * with a position that we have not asked for, says nothing of refusals, and is not to be had
 * outside browsers.
 *
 * @typedef {import("../connection.js").Clock} Clock
 * @typedef {import("./uplink.js").Fetch} Fetch
 */

import { ABNORMAL } from "../codes.js";
import { EventStreamParser } from "./event-stream.js";
import { Uplink, below } from "./uplink.js";

export class EventStreamSocket {
  /** @type {((event: {data: string}) => void) | null} */
  onmessage = null;
  /** @type {((event: {code: number, reason: string}) => void) | null} */
  onclose = null;
  /** @type {(() => void) | null} the server has shown that it is there */
  onheard = null;
  #abort = new AbortController();
  #uplink;
  #over = false;

  /**
   * @param {string} url where a WebSocket would connect
   * @param {{fetch: Fetch, clock: Clock}} page
   */
  constructor(url, { fetch, clock }) {
    const ended = this.#end.bind(this);
    this.#uplink = new Uplink(fetch, below(url, "send"), clock, ended);
    void this.#run(fetch, below(url, "sse"));
  }

  /** @param {string} text */
  send(text) {
    this.#uplink.send(text);
  }

  close() {
    this.#over = true;
    this.#uplink.stop();
    this.#abort.abort();
  }

  /**
   * @param {Fetch} fetch
   * @param {string} url
   */
  async #run(fetch, url) {
    let reason = "the stream ended";
    try {
      const headers = { accept: "text/event-stream" };
      const { signal } = this.#abort;
      /** @type {RequestInit} */
      const init = { headers, signal, credentials: "include", cache: "no-store" };
      const response = await fetch(url, init);
      if (response.ok && response.body) await this.#read(response.body.getReader());
      else reason = `the stream was answered with ${response.status}`;
    } catch (error) {
      reason = String(error);
    }
    this.#end(ABNORMAL, reason);
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader */
  async #read(reader) {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const parser = new EventStreamParser(
      (name, data) => this.#event(name, data),
      () => this.onheard?.(),
    );
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#over) return;
      parser.feed(decoder.decode(value, { stream: true }));
    }
  }

  /**
   * @param {string} name
   * @param {string} data
   */
  #event(name, data) {
    if (this.#over) return;
    if (name === "message") return this.onmessage?.({ data });
    this.onheard?.();
    if (name === "ticket") {
      this.#uplink.ticket = data;
    } else if (name === "close") {
      const { code, reason } = JSON.parse(data);
      this.#end(code, reason);
    }
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #end(code, reason) {
    if (this.#over) return;
    this.close();
    this.onclose?.({ code, reason });
  }
}
