/** The other end: a WebSocket class whose instances a test opens, feeds and closes. */

import { connect } from "../../src/seaway.js";
import { FakeClock } from "./clock.js";

export const WELCOME = { type: "welcome", version: 1, connection: "c1", ping: 25_000 };

class FakeSocket {
  sent = [];
  /** The code with which the client closed; "none" when it named none. */
  hungUp = null;

  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
  }

  send(text) {
    if (this.hungUp) throw new Error("the client sent on a socket that it had closed");
    this.sent.push(JSON.parse(text));
  }

  close(code = "none") {
    if (code !== "none" && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new Error(`browsers refuse to close with ${code}`); // WHATWG WebSockets, close()
    }
    this.hungUp = code;
  }
}

/** A page that can go offline and be hidden. */
export class FakePage extends EventTarget {
  location = { href: "https://example.org/events/7/" };
  document = Object.assign(new EventTarget(), { visibilityState: "visible" });

  goOnline() {
    this.dispatchEvent(new Event("online"));
  }

  show(visibilityState) {
    this.document.visibilityState = visibilityState;
    this.document.dispatchEvent(new Event("visibilitychange"));
  }
}

export class FakeServer {
  sockets = [];
  clock = new FakeClock();
  page = new FakePage();
  random = 0.5;

  connect(url, options = {}) {
    const { sockets, clock, page } = this;
    const WebSocket = class extends FakeSocket {
      constructor(...args) {
        super(...args);
        sockets.push(this);
      }
    };
    return connect(url, { WebSocket, clock, window: page, random: () => this.random, ...options });
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** What the client has sent since it was last asked for, on the newest socket. */
  take() {
    return this.socket.sent.splice(0);
  }

  send(...messages) {
    const texts = messages.map((m) => (typeof m === "string" ? m : JSON.stringify(m)));
    for (const data of texts) this.socket.onmessage?.({ data });
  }

  welcome() {
    this.socket.onopen?.({});
    this.send(WELCOME);
  }

  close(code, reason = "") {
    this.socket.onerror?.({});
    this.socket.onclose?.({ code, reason });
  }
}

/** Lets everything run that waits for promises only. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Runs `fn` and returns what the client reported meanwhile. */
export async function reported(fn) {
  const errors = [];
  const before = globalThis.reportError;
  globalThis.reportError = (error) => errors.push(error);
  try {
    await fn();
  } finally {
    globalThis.reportError = before;
  }
  return errors;
}
