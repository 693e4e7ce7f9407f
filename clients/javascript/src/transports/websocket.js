/**
 * The transport of choice.
 *
 * What lives here: opening one. What must not: anything after that; a WebSocket has the interface
 * that the other transports imitate: `send`, `close`, `onmessage`, `onclose`.
 */

import { SUBPROTOCOL } from "../protocol.js";

/**
 * @param {string} url
 * @param {{WebSocket: any}} window
 */
export function openWebSocket(url, { WebSocket }) {
  const socket = new WebSocket(url, [SUBPROTOCOL]);
  socket.onerror = () => {}; // a close event follows, and says more
  return socket;
}
