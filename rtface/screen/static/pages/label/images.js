// The frames' pictures: fetched ahead, decoded once, the ones used longest ago let go.

const KEPT = 24;

export class Images {
  /** @param {string} set */
  constructor(set) {
    this.set = set;
    /** @type {Map<string, Promise<ImageBitmap>>} */
    this.kept = new Map();
  }

  /** @param {string} frame @returns {Promise<ImageBitmap>} */
  get(frame) {
    const known = this.kept.get(frame);
    const found = known ?? this.fetch(frame);
    this.kept.delete(frame);
    this.kept.set(frame, found);
    if (!known) found.catch(() => this.kept.delete(frame));
    for (const [name, old] of this.kept) {
      if (this.kept.size <= KEPT) break;
      this.kept.delete(name);
      old.then((image) => image.close(), () => {});
    }
    return found;
  }

  /** Let all of them go. */
  close() {
    for (const image of this.kept.values()) image.then((each) => each.close(), () => {});
    this.kept.clear();
  }

  /** @param {string} frame @returns {string} */
  address(frame) {
    return `/api/label/image?${new URLSearchParams({ set: this.set, frame })}`;
  }

  /** @param {string} frame */
  async fetch(frame) {
    const answer = await fetch(this.address(frame), { credentials: "same-origin" });
    if (!answer.ok) throw new Error((await answer.json().catch(() => null))?.error?.text ?? "the picture cannot be read");
    return createImageBitmap(await answer.blob(), { colorSpaceConversion: "none" });
  }
}
