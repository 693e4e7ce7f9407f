/** A clock that moves only when it is told to. */
export class FakeClock {
  #now = 0;
  #last = 0;
  #timers = new Map();

  now = () => this.#now;

  setTimeout = (fn, ms) => {
    this.#last += 1;
    this.#timers.set(this.#last, { at: this.#now + ms, fn });
    return this.#last;
  };

  clearTimeout = (timer) => this.#timers.delete(timer);

  get pending() {
    return this.#timers.size;
  }

  /** Moves on by `ms`, and runs what falls due, in order. */
  advance(ms) {
    const end = this.#now + ms;
    for (let due = this.#next(end); due; due = this.#next(end)) {
      const [timer, { at, fn }] = due;
      this.#timers.delete(timer);
      this.#now = Math.max(this.#now, at);
      fn();
    }
    this.#now = end;
  }

  /** Moves on without running anything, as a computer does that sleeps. */
  sleep(ms) {
    this.#now += ms;
  }

  #next(end) {
    const due = [...this.#timers].filter(([, { at }]) => at <= end);
    return due.sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
  }
}
