// The page's one websocket: what the rigs publish, and pictures one by one as they are shown.

/** @typedef {(data: any, rig: string) => void} Listener */

const CLOCK_MS = 500;
const TOO_MANY = 1013;

export class Socket {
  /** @param {import("./clock.js").Clock} clock */
  constructor(clock) {
    this.clock = clock;
    /** @type {Map<string, Set<Listener>>} */
    this.listeners = new Map();
    /** @type {Record<string, string>} */
    this.wanted = {};
    this.up = false;
    /** Why it is not up. */
    this.why = "";
    this.delay = 250;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.asking = undefined;
    /** @type {WebSocket | null} */
    this.socket = null;
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/socket`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.up = true;
      this.delay = 250;
      this.socket = socket;
      this.tell("socket", true, "");
      this.want(this.wanted);
      this.askClock();
    };
    socket.onmessage = (event) => this.take(event.data);
    socket.onclose = (event) => {
      this.up = false;
      this.why = event.code === TOO_MANY ? event.reason : "the screen's program is gone; this page waits for it";
      this.socket = null;
      this.clock.forget();
      this.tell("socket", false, "");
      setTimeout(() => this.open(), this.delay);
      this.delay = Math.min(3000, this.delay * 1.6);
    };
    this.asking ??= setInterval(() => this.askClock(), CLOCK_MS);
  }

  askClock() {
    if (this.socket && !this.socket.bufferedAmount) this.send({ clock: this.clock.ask() });
  }

  /**
   * Hear a topic: keypoints, features, neural, status, events, picture, link, missed, screen; socket, whether this one is open; and rigs, where another one is shown.
   * @param {string} topic @param {Listener} listener @returns {() => void} ends it
   */
  on(topic, listener) {
    const found = this.listeners.get(topic) ?? new Set();
    this.listeners.set(topic, found.add(listener));
    return () => found.delete(listener);
  }

  /**
   * Say of which rigs pictures are wanted, and of each whether of the frame or the crop.
   * @param {Record<string, string>} views @returns {() => void} wants none any more, unless others are wanted since
   */
  want(views) {
    this.wanted = views;
    this.send({ pictures: views });
    return () => {
      if (this.wanted === views) this.want({});
    };
  }

  /** Say that a picture was shown, so that another may come. */
  shown() {
    this.send("shown");
  }

  /** @param {any} said */
  send(said) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(said));
  }

  /** @param {string | ArrayBuffer} received */
  take(received) {
    if (typeof received === "string") {
      const { topic, data, rig } = JSON.parse(received);
      if (topic === "clock") this.clock.take(data);
      else this.tell(topic, data, rig);
      return;
    }
    const length = new DataView(received).getUint32(0, true);
    const { data, rig } = JSON.parse(new TextDecoder().decode(new Uint8Array(received, 4, length)));
    data.jpeg = new Blob([new Uint8Array(received, 4 + length)], { type: "image/jpeg" });
    if (!this.tell("picture", data, rig)) this.shown();
  }

  /** @param {string} topic @param {any} data @param {string} rig @returns {boolean} whether anybody hears it */
  tell(topic, data, rig) {
    const found = this.listeners.get(topic);
    for (const listener of found ?? []) {
      try {
        listener(data, rig);
      } catch (error) {
        console.error(topic, error);
      }
    }
    return Boolean(found?.size);
  }
}
