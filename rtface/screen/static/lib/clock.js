// How old what the screen's program sent is, whatever lay between: a queue, a page that was frozen, a laptop that slept.

/**
 * The clock of the screen's program as a page knows it. It asks, and takes the answer to be as old as the question: an
 * age is never less than the true one.
 */
export class Clock {
  constructor() {
    this.number = 0;
    /** @type {Map<number, number[]>} */
    this.asked = new Map();
    /** @type {{there: number, here: number[]} | null} */
    this.known = null;
  }

  /** The number of a question that is sent now. @returns {number} */
  ask() {
    this.asked.set(++this.number, readings());
    for (const number of this.asked.keys()) if (this.asked.size > 8) this.asked.delete(number);
    return this.number;
  }

  /** @param {{n: number, now_ns: number}} said the answer */
  take(said) {
    const here = this.asked.get(said.n);
    this.asked.delete(said.n);
    if (here) this.known = { there: said.now_ns / 1e6, here };
  }

  /** Forget what is known: the program is another one, perhaps. */
  forget() {
    this.known = null;
    this.asked.clear();
  }

  /** How many milliseconds ago, at most, a moment of that clock was. @param {number | undefined} ns @returns {number} */
  age(ns) {
    if (!this.known || ns === undefined) return Infinity;
    const passed = readings().map((each, index) => each - /** @type {{here: number[]}} */ (this.known).here[index]);
    return this.known.there + Math.max(...passed) - ns / 1e6;
  }
}

/** Of two clocks one may stand still while a computer sleeps; the one that went further counts. */
function readings() {
  return [performance.now(), Date.now()];
}
