/**
 * The other end of the transports over HTTP: a `fetch` that answers as Seaway's server does.
 *
 * Each connection has what a FakeSocket has: `sent`, `hungUp`; and it is told what to say by
 * `say`, `close` and `lose`.
 */

import { FakeServer } from "./server.js";

const response = (status, body = "") => ({
  ok: status >= 200 && status < 300,
  status,
  json: async () => JSON.parse(body),
});

class FakeConnection {
  sent = [];
  hungUp = null;
  posts = 0;

  constructor(ticket) {
    this.ticket = ticket;
  }

  take({ number, messages, close }) {
    if (this.hungUp && !close) return 410;
    if (number <= this.posts) return 204;
    if (number !== this.posts + 1) return 410;
    this.posts = number;
    this.sent.push(...messages);
    if (close) this.hungUp = "left";
    return 204;
  }
}

class FakeStream extends FakeConnection {
  #pieces = [];
  #reader = null;

  constructor(ticket, signal) {
    super(ticket);
    signal.addEventListener("abort", () => {
      this.hungUp ??= "aborted";
      this.#push({ error: new Error("aborted") });
    });
    this.write(`event: ticket\ndata: ${this.ticket}\n\n`);
  }

  get response() {
    const read = () =>
      new Promise((resolve, reject) => {
        this.#reader = { resolve, reject };
        this.#feed();
      });
    return { ok: true, status: 200, body: { getReader: () => ({ read }) } };
  }

  write(text) {
    this.bytes(new TextEncoder().encode(text));
  }

  bytes(values) {
    this.#push({ value: Uint8Array.from(values), done: false });
  }

  say(text) {
    this.write(`data: ${text}\n\n`);
  }

  close(code, reason) {
    this.write(`event: close\ndata: ${JSON.stringify({ code, reason })}\n\n`);
    this.lose();
  }

  lose() {
    this.hungUp ??= "lost";
    this.#push({ done: true });
  }

  renew(ticket) {
    this.ticket = ticket;
    this.write(`event: ticket\ndata: ${ticket}\n\n`);
  }

  #push(piece) {
    this.#pieces.push(piece);
    this.#feed();
  }

  #feed() {
    if (!this.#reader || !this.#pieces.length) return;
    const { resolve, reject } = this.#reader;
    this.#reader = null;
    const piece = this.#pieces.shift();
    if (piece.error) reject(piece.error);
    else resolve(piece);
  }
}

class FakePolled extends FakeConnection {
  batch = 0;
  #waiting = [];
  #unacknowledged = null;
  #end = null;
  #poller = null;
  #gone = false;

  poll({ ack }, signal) {
    if (this.#gone) return Promise.resolve(response(410, "{}"));
    this.wake();
    if (ack === this.batch) this.#unacknowledged = null;
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => {
        this.hungUp ??= "aborted";
        reject(new Error("aborted"));
      });
      this.#poller = { resolve, reject };
      this.#answer(false);
    });
  }

  say(text) {
    this.#waiting.push(text);
    this.#answer(false);
  }

  close(code, reason) {
    this.#end = { code, reason };
    this.hungUp ??= "closed";
    this.#answer(false);
  }

  lose() {
    this.#gone = true;
    this.hungUp ??= "lost";
    this.#take()?.resolve(response(410, "{}"));
  }

  /** The answer to the poll that waits is lost on its way. */
  breaks() {
    this.#take()?.reject(new TypeError("network error"));
  }

  /** Ends the poll that waits without messages. */
  wake() {
    this.#answer(true);
  }

  get polled() {
    return this.#poller !== null;
  }

  #take() {
    const poller = this.#poller;
    this.#poller = null;
    return poller;
  }

  #answer(empty) {
    if (!this.#poller) return;
    if (!this.#unacknowledged && this.#waiting.length) {
      this.batch += 1;
      this.#unacknowledged = this.#waiting.splice(0);
    }
    if (!empty && !this.#unacknowledged && !this.#end) return;
    const messages = (this.#unacknowledged ?? []).join(",");
    const close = this.#end ? `,"close":${JSON.stringify(this.#end)}` : "";
    const ticket = JSON.stringify(this.ticket);
    const body = `{"batch":${this.batch},"messages":[${messages}],"ticket":${ticket}${close}}`;
    this.#take().resolve(response(200, body));
  }
}

export class FakeHttpServer extends FakeServer {
  #opened = [];
  requests = [];
  /** Statuses, or "network", with which the next requests to a path fail. */
  fails = { sse: [], poll: [], send: [] };

  connect(url, options = {}) {
    return super.connect(url, { fetch: this.fetch, ...options });
  }

  fetch = async (url, init) => {
    const path = new URL(url).pathname.split("/").at(-1);
    this.requests.push({ url, path, ...init });
    const failure = this.fails[path].shift();
    if (failure === "network") throw new TypeError("network error");
    if (failure) return response(failure, "{}");
    const body = init.body && JSON.parse(init.body);
    const fresh = `ticket-${this.#opened.length + 1}`;
    if (path === "sse") return this.#open(new FakeStream(fresh, init.signal)).response;
    if (!body.ticket) return this.#open(new FakePolled(fresh)).poll({ ack: 0 }, init.signal);
    const connection = this.#opened.find(({ ticket }) => ticket === body.ticket);
    if (!connection) return response(403, "{}");
    return path === "send" ? response(connection.take(body)) : connection.poll(body, init.signal);
  };

  #open(connection) {
    this.#opened.push(connection);
    this.sockets.push(connection);
    return connection;
  }

  send(...messages) {
    if (!this.socket.say) return super.send(...messages);
    for (const message of messages) {
      this.socket.say(typeof message === "string" ? message : JSON.stringify(message));
    }
  }

  close(code, reason = "") {
    if (!this.socket.say) super.close(code, reason);
    else if (code === 1006) this.socket.lose();
    else this.socket.close(code, reason);
  }

  /** How often a path was asked for. */
  count(path) {
    return this.requests.filter((request) => request.path === path).length;
  }
}
