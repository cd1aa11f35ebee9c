// What a label set is, as this page knows it: what the server says, and over it the acts that are on their way there.

/** @typedef {{x: number, y: number, from: string, engine?: string} | {hidden: true}} Label */
/** @typedef {{id: string, file: string, video: string, name: string, width: number, height: number, from: any}} Frame */
/** @typedef {{id: string, name: string}} Point */
/** @typedef {{id: string, path: "act" | "turn", does: string, changes: [string[], any][]}} Act */

const POLL_MS = 1000;
const RETRY_MS = 1000;

export class LabelStore {
  /** @param {import("../../lib/app.js").App} app @param {string} set */
  constructor(app, set) {
    this.app = app;
    this.set = set;
    this.session = `b${crypto.randomUUID().slice(0, 8)}`;
    this.acts = 0;
    this.n = 0;
    this.touched = 0;
    this.undo = this.redo = false;
    this.changedOutside = false;
    /** @type {string[]} */
    this.notes = [];
    /** @type {Map<string, {value: any, who: string}>} */
    this.values = new Map();
    /** @type {Act[]} */
    this.outbox = [];
    this.sending = false;
    /** Settled when nothing is being sent. @type {Promise<void>} */
    this.sent = Promise.resolve();
    this.reachable = true;
    this.ended = false;
    /** @type {Set<(keys: string[]) => void>} */
    this.listeners = new Set();
    /** @type {(keys: string[][]) => void} */
    this.onturn = () => {};
    this.kept = `label:${set}:${this.session}`;
  }

  /** Read all, and go on reading what others do. */
  async open() {
    this.takeLeftBehind();
    await this.look();
    this.timer = setInterval(() => {
      if (document.visibilityState === "visible") this.look().catch(() => this.tell([]));
    }, POLL_MS);
    this.send();
  }

  /** End; what waits is sent all the same. @returns {Promise<void>} when that is done, or cannot be */
  close() {
    this.ended = true;
    clearInterval(this.timer);
    this.listeners.clear();
    return this.sent;
  }

  /** @param {(keys: string[]) => void} listener called with the keys that may have changed */
  on(listener) {
    this.listeners.add(listener);
  }

  /** Who labels: as in the list of pages. */
  get who() {
    return this.app.who || "somebody";
  }

  /** @param {...string} key @returns {any} what a key has, the acts that are under way included; null for nothing */
  value(...key) {
    const name = key.join("/");
    for (let at = this.outbox.length - 1; at >= 0; at--) {
      const found = this.outbox[at].changes.find(([each]) => each.join("/") === name);
      if (found) return found[1];
    }
    return this.values.get(name)?.value ?? null;
  }

  /** @param {string} pass @param {string} frame @param {string} point @returns {Label | null} */
  label(pass, frame, point) {
    return this.value("label", pass, frame, point);
  }

  /** @param {string} pass @param {string} frame @param {string} point @returns {string} who set a label */
  author(pass, frame, point) {
    return this.values.get(`label/${pass}/${frame}/${point}`)?.who ?? "";
  }

  /** @returns {Frame[]} */
  get frames() {
    return this.ofKind("frame").map(([id, value]) => ({ id, ...value }));
  }

  /** @returns {Point[]} */
  get points() {
    return this.ofKind("name").map(([id, name]) => ({ id, name }));
  }

  /** @param {string} frame */
  skipped(frame) {
    return this.value("skip", frame) === true;
  }

  /** @param {string} kind @returns {[string, any][]} in the order of their numbers */
  ofKind(kind) {
    const ids = new Set();
    for (const key of this.values.keys()) if (key.startsWith(`${kind}/`)) ids.add(key.slice(kind.length + 1));
    for (const act of this.outbox) for (const [key] of act.changes) if (key[0] === kind) ids.add(key[1]);
    return [...ids]
      .map((id) => /** @type {[string, any]} */ ([id, this.value(kind, id)]))
      .filter(([, value]) => value !== null)
      .sort((one, other) => Number(one[0].slice(1)) - Number(other[0].slice(1)));
  }

  /**
   * Do something, shown at once and sent behind what was done before.
   * @param {string} does @param {[string[], any][]} changes
   */
  act(does, changes) {
    const last = this.outbox.at(-1);
    const first = this.outbox.length === 1 && this.sending;
    if (does === "move" && last?.does === "move" && !first && String(last.changes[0][0]) === String(changes[0][0])) {
      last.changes = changes;
    } else {
      this.outbox.push({ id: `${this.session}-${++this.acts}`, path: "act", does, changes });
    }
    this.keep();
    this.tell(changes.map(([key]) => key.join("/")));
    this.send();
  }

  /** Undo the last act of whoever sits here, or redo. @param {"undo" | "redo"} does */
  turn(does) {
    this.outbox.push({ id: `${this.session}-${++this.acts}`, path: "turn", does, changes: [] });
    this.keep();
    this.send();
  }

  send() {
    if (!this.sending) this.sent = this.sendAll();
  }

  /** Send what waits, one after another; what cannot be sent now waits on, over a restart of the browser too. */
  async sendAll() {
    this.sending = true;
    while (this.outbox.length) {
      const act = this.outbox[0];
      const said = { set: this.set, who: this.who, n: this.n, id: act.id, do: act.does };
      try {
        const news = await this.app.post(`/api/label/${act.path}`, act.path === "act" ? { ...said, changes: act.changes } : said);
        this.reachable = true;
        this.outbox.shift();
        this.keep();
        this.take(news, act.changes);
        if (act.path === "turn" && !this.ended) this.onturn(news.keys);
      } catch (error) {
        const refused = /** @type {import("../../lib/api.js").Refused} */ (error);
        if (refused.kind === "UsageError") {
          this.outbox.shift();
          this.keep();
          this.app.say(refused.message, "warn");
          this.tell(act.changes.map(([key]) => key.join("/")));
          continue;
        }
        if (this.ended) break;
        if (this.reachable) this.app.say(`${refused.message} What you do is kept here until it can be saved.`, "bad");
        this.reachable = false;
        this.tell([]);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.sending = false;
    this.tell([]);
  }

  /** Read what others did. */
  async look() {
    const query = new URLSearchParams({ set: this.set, n: String(this.n), who: this.who });
    const news = await this.app.get(`/api/label/since?${query}`);
    if (this.ended) return;
    this.changedOutside = news.changed_outside;
    this.notes = news.notes;
    this.take(news, []);
  }

  /** @param {any} news @param {[string[], any][]} own */
  take(news, own) {
    const keys = own.map(([key]) => key.join("/"));
    if (news.all && news.n < this.n) {
      this.app.say("The journal of this set is another one than before, or an older copy: it was read anew.", "warn");
      this.values.clear();
      this.n = 0;
    }
    // A newer answer may have overtaken this one: what it says is known then, and some of it is no longer so.
    const late = !news.all && news.n < this.n;
    if (late) {
      if (keys.length) this.tell(keys);
      return;
    }
    for (const [key, value, who] of news.values) {
      const name = key.join("/");
      this.values.set(name, { value, who });
      keys.push(name);
    }
    const moved = this.undo !== news.undo || this.redo !== news.redo;
    this.n = Math.max(this.n, news.n);
    if (news.values.length) this.touched = this.n;
    [this.undo, this.redo] = [news.undo, news.redo];
    if (keys.length || moved) this.tell(keys);
  }

  /** @param {string[]} keys */
  tell(keys) {
    for (const listener of this.listeners) listener(keys);
  }

  /** Keep what waits, in case that the browser ends. */
  keep() {
    if (this.outbox.length) localStorage.setItem(this.kept, JSON.stringify(this.outbox));
    else localStorage.removeItem(this.kept);
  }

  /** Take what a browser that ended had not sent yet; the server knows each act by its name, and does it once. */
  takeLeftBehind() {
    for (const name of Object.keys(localStorage)) {
      if (!name.startsWith(`label:${this.set}:`) || name === this.kept) continue;
      this.outbox.push(...JSON.parse(localStorage.getItem(name) ?? "[]"));
      localStorage.removeItem(name);
    }
    this.keep();
  }
}
