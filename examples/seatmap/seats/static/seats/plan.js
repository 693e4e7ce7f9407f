/** The drawn house: paints seats, and turns clicks, taps and keys into picks. Knows no network. */

/** What a seat's look is called for those who do not see it; `views.py` has the same list. */
export const WORDS = {
  free: "free",
  mine: "held for you",
  held: "held by someone else",
  sold: "sold",
  bought: "bought by you",
  blocked: "not for sale",
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ZOOMS = [1, 1.6, 2.5, 3.6];
/** CSS pixels between two seats under which a finger cannot tell them apart. */
const FINGER = 22;
/** Distance between two seats in the drawing's own units. */
const PITCH = 26;

export class Plan {
  #svg;
  #scroller = document.querySelector("#scroller");
  #tip = document.querySelector("#tip");
  #seats = new Map();
  #zoom = 0;

  /** @param {SVGSVGElement} svg @param {(id: number) => void} onPick */
  constructor(svg, onPick) {
    this.#svg = svg;
    for (const element of svg.querySelectorAll(".seat")) {
      const { e: x, f: y } = element.transform.baseVal.consolidate().matrix;
      const { name, band, price, label, look } = element.dataset;
      const id = Number(element.dataset.id);
      this.#seats.set(id, { id, element, x, y, name, band, price: Number(price), label, look });
    }
    this.#moveFocus(this.#seats.values().next().value, false);
    svg.addEventListener("click", (event) => this.#click(event, onPick));
    svg.addEventListener("keydown", (event) => this.#key(event, onPick));
    for (const kind of ["pointerover", "focusin"]) {
      svg.addEventListener(kind, (event) => this.#point(this.#at(event), event));
    }
    for (const kind of ["pointerleave", "focusout"]) {
      svg.addEventListener(kind, () => this.#point(null));
    }
    this.#scroller.addEventListener("scroll", () => this.#point(null), { passive: true });
    document.querySelector("#zoom-in").addEventListener("click", () => this.#zoomTo(this.#zoom + 1));
    document.querySelector("#zoom-out").addEventListener("click", () => this.#zoomTo(this.#zoom - 1));
  }

  /** @returns {{id: number, name: string, band: string, price: number, look: string}} */
  seat(id) {
    return this.#seats.get(id);
  }

  ids() {
    return this.#seats.keys();
  }

  /** Show a seat's look: free, mine, held, sold, bought or blocked. */
  paint(id, look, { quiet = false } = {}) {
    const seat = this.#seats.get(id);
    if (!seat || seat.look === look) return;
    const { element } = seat;
    seat.look = look;
    element.dataset.look = look;
    element.querySelector(".mark").setAttribute("href", `#mark-${look}`);
    element.setAttribute("aria-label", `${seat.label}, ${WORDS[look]}`);
    element.setAttribute("aria-pressed", String(look === "mine"));
    delete element.dataset.changed;
    if (quiet) return;
    element.getBoundingClientRect(); // starts the animation anew
    element.dataset.changed = "";
  }

  /** Mark a seat: `busy` while the server is asked, `ending` when its hold runs out. */
  flag(id, name, on) {
    this.#seats.get(id)?.element.toggleAttribute(`data-${name}`, on);
  }

  #at(event) {
    const element = event.target.closest?.(".seat");
    return element ? this.#seats.get(Number(element.dataset.id)) : null;
  }

  #click(event, onPick) {
    const seat = this.#at(event);
    if (!seat || event.detail > 1) return; // the second half of a double click would undo the first
    const width = (PITCH * this.#svg.getBoundingClientRect().width) / 1000;
    if (event.pointerType === "touch" && width < FINGER) {
      this.#zoomTo(ZOOMS.findIndex((zoom) => (zoom / ZOOMS[this.#zoom]) * width >= FINGER), seat);
      return;
    }
    this.#moveFocus(seat, false);
    onPick(seat.id);
  }

  #key(event, onPick) {
    const seat = this.#at(event);
    if (!seat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") onPick(seat.id);
    else if (event.key in ARROWS) this.#moveFocus(this.#neighbour(seat, ARROWS[event.key]), true);
    else return;
    event.preventDefault();
  }

  /** The nearest seat in a direction; a step aside counts for more than a step ahead. */
  #neighbour(from, [dx, dy]) {
    let best = from;
    let least = Infinity;
    for (const seat of this.#seats.values()) {
      const ahead = (seat.x - from.x) * dx + (seat.y - from.y) * dy;
      const aside = Math.abs((seat.x - from.x) * dy) + Math.abs((seat.y - from.y) * dx);
      const distance = ahead + 2.5 * aside;
      if (ahead > 4 && aside < 2 * ahead && distance < least) [best, least] = [seat, distance];
    }
    return best;
  }

  /** One seat at a time takes part in the tab order. */
  #moveFocus(seat, focus) {
    this.#svg.querySelector('.seat[tabindex="0"]')?.setAttribute("tabindex", "-1");
    seat.element.setAttribute("tabindex", "0");
    if (focus) seat.element.focus();
  }

  #point(seat, event) {
    const byTouch = event?.pointerType === "touch";
    const byKey = event?.type !== "focusin" || seat?.element.matches(":focus-visible");
    this.#tip.hidden = !seat || byTouch || !byKey;
    if (this.#tip.hidden) return;
    const at = seat.element.getBoundingClientRect();
    const map = this.#tip.parentElement.getBoundingClientRect();
    const name = document.createElement("b");
    name.textContent = seat.name;
    const words = seat.look === "free" ? euros(seat.price) : WORDS[seat.look];
    this.#tip.replaceChildren(name, ` · ${words}`);
    const half = this.#tip.offsetWidth / 2 + 6;
    const middle = at.left + at.width / 2 - map.left;
    const below = at.top - map.top < 44;
    this.#tip.toggleAttribute("data-below", below);
    this.#tip.style.left = `${Math.min(Math.max(middle, half), map.width - half)}px`;
    this.#tip.style.top = `${(below ? at.bottom : at.top) - map.top}px`;
  }

  /** Change the scale around a seat, or around what is in the middle of the view. */
  #zoomTo(level, seat) {
    const box = this.#scroller;
    const old = this.#svg.getBoundingClientRect();
    const view = box.getBoundingClientRect();
    const across = seat ? seat.x / 1000 : (view.left + box.clientWidth / 2 - old.left) / old.width;
    const down = seat
      ? (seat.y + 24) / 646
      : (view.top + box.clientHeight / 2 - old.top) / old.height;
    this.#zoom = Math.min(Math.max(level < 0 ? ZOOMS.length - 1 : level, 0), ZOOMS.length - 1);
    this.#svg.style.setProperty("--zoom", ZOOMS[this.#zoom]);
    box.scrollLeft = across * this.#svg.clientWidth - box.clientWidth / 2;
    box.scrollTop = down * this.#svg.clientHeight - box.clientHeight / 2;
    document.querySelector("#zoom-in").disabled = this.#zoom === ZOOMS.length - 1;
    document.querySelector("#zoom-out").disabled = this.#zoom === 0;
  }
}

/** @param {number} cents */
export function euros(cents) {
  return cents % 100 === 0 ? `€${cents / 100}` : `€${(cents / 100).toFixed(2)}`;
}
