/**
 * The transports that there are here, the best first.
 *
 * What lives here: their names, and what each needs from its surroundings.
 *
 * @typedef {import("../connection.js").Clock} Clock
 * @typedef {"websocket" | "sse" | "polling"} TransportName
 * @typedef {{name: TransportName, open: (url: string) => any}} Transport
 *   `open` returns what has the interface of a WebSocket
 * @typedef {{WebSocket?: any, fetch?: any, window: any, clock: Clock}} Surroundings
 */

import { PollingSocket } from "./polling.js";
import { EventStreamSocket } from "./sse.js";
import { openWebSocket } from "./websocket.js";

/** @type {TransportName[]} */
export const NAMES = ["websocket", "sse", "polling"];

/**
 * @param {TransportName[]} names those that are wanted
 * @param {Surroundings} here
 * @returns {Transport[]} those of them that can be had
 */
export function transports(names, { WebSocket, fetch, window, clock }) {
  /** @type {Record<TransportName, ((url: string) => any) | null>} */
  const open = {
    websocket: WebSocket && ((url) => openWebSocket(url, { WebSocket })),
    sse:
      fetch && globalThis.TextDecoder
        ? (url) => new EventStreamSocket(url, { fetch, clock })
        : null,
    polling: fetch && ((url) => new PollingSocket(url, { fetch, clock, window })),
  };
  /** @type {Transport[]} */
  const found = [];
  for (const name of names) {
    const opener = open[name];
    if (opener) found.push({ name, open: opener });
  }
  return found;
}
