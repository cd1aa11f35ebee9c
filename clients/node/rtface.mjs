/**
 * Keypoints of a running rtface, and its commands, in Node, with npm's zeromq. Needs a bridge of kind json in the rig's file:
 *
 *     publish: {bridges: [{kind: json}]}          or, without a rig:  rtface demo --bridges
 *
 *     const client = await RtfaceClient.open();
 *     for await (const points of client) console.log(points.frame_id, points.xy[0], points.age_ms);
 *
 * The messages are those of docs/wire.md ("The JSON form") with age_ms (now less the exposure), missing (messages lost since the
 * last one) and restarted (the service is another one: call hello() again) added.
 */
import * as zeromq from "zeromq";

const TOPIC = "json.1.keypoints";
const PINGS = 8;
const MOST_BYTES = 2 ** 20;

/** What the service refuses a command with; `code` is one of docs/wire.md. */
export class RtfaceError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.name = "RtfaceError";
    this.code = code;
  }
}

export class RtfaceClient {
  #points;
  #commands = null;
  #control;
  #timeoutMs;
  #offsetMs = NaN;
  #session = null;
  #seq = -1;
  #id = 0;
  #waiting = Promise.resolve();

  /** Names of the keypoints, in the order of xy. */
  names = [];
  /** The offset of the service's clock is known to this, in milliseconds. */
  clockMs = NaN;

  /** Connect, and say hello. */
  static async open({ json = "tcp://127.0.0.1:5573", control = "tcp://127.0.0.1:5571", timeoutMs = 5000 } = {}) {
    const client = new RtfaceClient(json, control, timeoutMs);
    try {
      await client.hello();
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }

  constructor(json, control, timeoutMs) {
    this.#control = control;
    this.#timeoutMs = timeoutMs;
    this.#points = new zeromq.Subscriber({ maxMessageSize: MOST_BYTES });
    this.#points.subscribe(TOPIC);
    this.#points.connect(json);
  }

  /** What the service is; measures its clock. */
  async hello() {
    const found = await this.request("hello");
    this.names = found.skeleton.map((point) => point.name);
    let best = Infinity;
    for (let nonce = 0; nonce < PINGS; nonce++) {
      const before = performance.now();
      const answer = await this.request("ping", { nonce });
      const after = performance.now();
      if (after - before < best) {
        best = after - before;
        this.#offsetMs = answer.t_ns / 1e6 - (before + after) / 2;
      }
    }
    this.clockMs = best / 2;
    return found;
  }

  /** Each keypoints message, for ever; end it with break or close(). */
  async *[Symbol.asyncIterator]() {
    for await (const [, body] of this.#points) yield this.#placed(JSON.parse(body.toString("utf8")));
  }

  #placed(message) {
    if (message.topic === "error") throw new RtfaceError(message.error.code, message.error.message);
    const restarted = this.#session !== null && message.session !== this.#session;
    const missing = this.#seq < 0 || restarted ? 0 : message.seq - this.#seq - 1;
    this.#session = message.session;
    this.#seq = message.seq;
    return { ...message, age_ms: performance.now() + this.#offsetMs - message.t.exposure / 1e6, missing, restarted };
  }

  /** Any command of docs/wire.md; requests go out one after another. Rejects with RtfaceError. */
  request(op, args = {}) {
    const answer = this.#waiting.then(() => this.#ask(op, args));
    this.#waiting = answer.catch(() => undefined);
    return answer;
  }

  async #ask(op, args) {
    if (this.#commands === null) {
      this.#commands = new zeromq.Request({ receiveTimeout: this.#timeoutMs, linger: 0, maxMessageSize: MOST_BYTES });
      this.#commands.connect(this.#control);
    }
    this.#id += 1;
    let reply;
    try {
      await this.#commands.send(JSON.stringify({ v: 1, id: this.#id, op, args }));
      const [body] = await this.#commands.receive();
      reply = JSON.parse(body.toString("utf8"));
    } catch (error) {
      this.#commands?.close();
      this.#commands = null;
      throw new RtfaceError("address_error", `${op}: no answer from ${this.#control}: ${error.message}`);
    }
    if (!reply.ok) throw new RtfaceError(reply.error.code, reply.error.message);
    return reply.result;
  }

  /** Put a remark into the session's record, and out as an event. */
  mark(who, text, details = {}) {
    return this.request("mark", { who, text, details });
  }

  /** Allow light. */
  arm(who) {
    return this.request("arm", { who });
  }

  /** Light off, and no more of it until somebody arms. */
  disarm(who, why = "") {
    return this.request("disarm", { who, why });
  }

  /** Light off, latched until clear. */
  emergencyStop(who) {
    return this.request("emergency_stop", { who });
  }

  /** Close the sockets; ends who iterates. */
  close() {
    this.#points.close();
    this.#commands?.close();
    this.#commands = null;
  }
}
