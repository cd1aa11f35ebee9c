// What a page, or a part of one, has begun: all of it ends with it, and what is begun after that ends at once.

export class Scope {
  constructor() {
    this.over = false;
    /** @type {(() => void)[]} */
    this.ends = [];
  }

  /** Have something ended with this. @param {() => void} end */
  keep(end) {
    if (this.over) end();
    else this.ends.push(end);
  }

  /** A part of this, which ends with it or before, and is then forgotten. @returns {Scope} */
  part() {
    const part = new Scope();
    const end = () => part.end();
    this.keep(end);
    part.keep(() => {
      const at = this.ends.indexOf(end);
      if (at >= 0) this.ends.splice(at, 1);
    });
    return part;
  }

  end() {
    this.over = true;
    for (const end of this.ends.splice(0)) end();
  }
}
