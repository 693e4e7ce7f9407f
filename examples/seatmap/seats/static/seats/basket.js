/** The basket: held seats, their countdowns and the sum. Knows no network. */

import { euros } from "./plan.js";

/** Milliseconds before the end of a hold from which on the basket urges. */
export const ENDING = 20_000;

export class Basket {
  #root = document.querySelector("#basket");
  #list = this.#root.querySelector("ul");
  #buy = this.#root.querySelector("#buy");
  #lines = new Map();
  #onRelease;

  /** @param {{onBuy: (ids: number[]) => void, onRelease: (id: number) => void}} handlers */
  constructor({ onBuy, onRelease }) {
    this.#onRelease = onRelease;
    this.#buy.addEventListener("click", () => onBuy([...this.#lines.keys()]));
  }

  ids() {
    return [...this.#lines.keys()];
  }

  /** Put a seat in, or change until when it is held. */
  put(seat, until) {
    const line = this.#lines.get(seat.id) ?? this.#add(seat);
    line.until = until;
    this.#count();
  }

  remove(id) {
    this.#lines.get(id)?.element.remove();
    if (this.#lines.delete(id)) this.#count();
  }

  busy(on) {
    this.#buy.disabled = on || this.#lines.size === 0;
    this.#buy.textContent = on ? "One moment …" : this.#label();
  }

  /** Show the time that is left of each hold. */
  tick(now) {
    for (const { element, left, until } of this.#lines.values()) {
      const seconds = Math.max(0, Math.ceil((until - now) / 1000));
      left.textContent = `held for ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
      element.toggleAttribute("data-ending", until - now < ENDING);
    }
  }

  #add(seat) {
    const element = document.createElement("li");
    element.dataset.band = seat.band;
    element.dataset.seat = seat.id;
    const [bar, name, price, left] = ["bar", "name", "price", "left"].map((kind) => {
      const part = document.createElement("span");
      part.className = kind;
      return part;
    });
    name.textContent = seat.name;
    price.textContent = euros(seat.price);
    const release = document.createElement("button");
    release.type = "button";
    release.className = "release";
    release.textContent = "Release";
    release.setAttribute("aria-label", `Release ${seat.name}`);
    release.addEventListener("click", () => this.#onRelease(seat.id));
    element.append(bar, name, price, release, left);
    this.#list.append(element);
    const line = { element, left, price: seat.price, until: 0 };
    this.#lines.set(seat.id, line);
    return line;
  }

  #count() {
    const sum = [...this.#lines.values()].reduce((total, line) => total + line.price, 0);
    this.#root.dataset.count = this.#lines.size;
    this.#root.querySelector("#total").textContent = euros(sum);
    this.busy(false);
  }

  #label() {
    return this.#lines.size > 1 ? `Buy ${this.#lines.size} seats` : "Buy this seat";
  }
}
