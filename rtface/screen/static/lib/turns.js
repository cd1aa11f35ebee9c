// One page after another, in the order in which they were asked for, however late what they are made of comes.

export class Turns {
  constructor() {
    this.newest = 0;
    this.leave = () => {};
  }

  /**
   * Leave what is shown, and show something else, unless something else again is asked for meanwhile.
   * @template T
   * @param {() => Promise<T>} load gets what it is made of; two loads may be done in either order
   * @param {(loaded: T) => Promise<() => void>} mount shows it, and returns what takes it down again
   * @returns {Promise<boolean>} whether it is what is shown
   */
  async take(load, mount) {
    const mine = ++this.newest;
    this.leave();
    this.leave = () => {};
    const loaded = await load();
    if (mine !== this.newest) return false;
    const ended = await mount(loaded);
    if (mine !== this.newest) {
      ended();
      return false;
    }
    this.leave = ended;
    return true;
  }
}
