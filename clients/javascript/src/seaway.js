/**
 * Seaway's client: live topics in a browser, or wherever there is a WebSocket or `fetch`.
 *
 * What lives here: the public names, and how an address is read.
 *
 *     import { connect } from "/static/seaway/seaway.js";
 *     const seats = connect().topic("events/7/seats");
 *     seats.on("held", ({ seat }) => paint(seat, "grey"));
 *     const { seats: all } = await seats.join();
 *     await seats.call("hold", { seat: 12 });
 *
 * @typedef {import("./connection.js").Options} Options
 */

import { Connection, SYSTEM_CLOCK } from "./connection.js";
import { isObject } from "./protocol.js";
import { NAMES, transports } from "./transports/list.js";

export { SeawayError } from "./error.js";

export const version = "0.1.0";

const DEFAULT_PATH = "/seaway/";

/** @type {Record<string, string>} */
const SCHEMES = { "http:": "ws:", "https:": "wss:", "ws:": "ws:", "wss:": "wss:" };

/**
 * Opens a connection, and keeps it open until `close()` or until the server sends it away.
 *
 * @param {string | URL | Options} [url] where the server is: an absolute address (ws, wss, http or
 *   https), or one relative to the page; without it `/seaway/` of the page's own origin
 * @param {Options} [options]
 * @returns {Connection}
 * @throws {TypeError} when the address cannot be used, or none of the transports
 */
export function connect(url, options = {}) {
  if (isObject(url) && !(url instanceof URL)) return connect(undefined, url);
  const window = options.window ?? /** @type {any} */ (globalThis);
  const { clock = SYSTEM_CLOCK, transports: names = NAMES } = options;
  const unknown = names.find((name) => !NAMES.includes(name));
  if (unknown) throw new TypeError(`There is no transport "${unknown}": ${NAMES.join(", ")}.`);
  const WebSocket = options.WebSocket ?? window.WebSocket;
  const fetch = options.fetch ?? window.fetch?.bind(window);
  const found = transports(names, { WebSocket, fetch, window, clock });
  if (!found.length) {
    const text = `Nothing here can be used for ${names.join(", ")}: `;
    throw new TypeError(`${text}pass what is missing as connect(url, { WebSocket }) or { fetch }.`);
  }
  const address = resolve(/** @type {string | URL | undefined} */ (url), window.location?.href);
  return new Connection(address, found, { ...options, window, clock });
}

/**
 * @param {string | URL | undefined} url
 * @param {string | undefined} page
 * @returns {string}
 */
function resolve(url, page) {
  if (url === undefined && page === undefined) {
    throw new TypeError("Outside a page connect() needs the server's address as first argument.");
  }
  const address = new URL(url ?? DEFAULT_PATH, page);
  const scheme = SCHEMES[address.protocol];
  if (!scheme) throw new TypeError(`connect() cannot use the address ${address.href}`);
  address.protocol = scheme;
  address.hash = "";
  return address.href;
}
