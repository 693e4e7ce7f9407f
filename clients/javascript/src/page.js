/**
 * The page that a connection belongs to, if there is one: outside browsers there may be no part of
 * it.
 *
 * What lives here: its storage, whether it is offline, and its coming back. What must not: what a
 * connection makes of that (connection.js).
 */

export class Page {
  #window;
  #back;

  /**
   * @param {any} window
   * @param {() => void} back is called when the network or the page came back, while `watch()`ed
   */
  constructor(window, back) {
    this.#window = window;
    this.#back = back;
  }

  /** @returns {import("./ladder.js").Storage | null} that of the tab */
  get storage() {
    try {
      return this.#window?.sessionStorage ?? null;
    } catch {
      return null; // forbidden, as with cookies that are blocked
    }
  }

  /** Whether it knows itself to be without a network. */
  get offline() {
    return this.#window?.navigator?.onLine === false;
  }

  /** Idempotent. */
  watch() {
    this.#change("addEventListener");
  }

  /** Idempotent. */
  unwatch() {
    this.#change("removeEventListener");
  }

  /** @param {"addEventListener" | "removeEventListener"} change */
  #change(change) {
    this.#window?.[change]?.("online", this.#wake);
    this.#window?.document?.[change]?.("visibilitychange", this.#wake);
  }

  #wake = (/** @type {{type: string}} */ { type }) => {
    const visible = this.#window.document?.visibilityState === "visible";
    if (type !== "visibilitychange" || visible) this.#back();
  };
}
