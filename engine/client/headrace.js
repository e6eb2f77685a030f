// Headrace's client for browsers: one file, no dependencies. Sends events over a WebSocket, keeps what was not
// acknowledged over reloads, and sends it again.
//
//     import { connect } from "https://events.shop.example/headrace.js";
//     const headrace = connect("https://events.shop.example", "my-write-key");
//     headrace.identify("u1", { plan: "pro" });
//     headrace.track("Order Completed", { total: 12.5 });

/**
 * @typedef {Object} Refusal An event that will never be accepted; sending it again does not help.
 * @property {string} messageId
 * @property {string} code One documented word, for example `id_required`.
 * @property {string} message One sentence for the developer who sent it.
 */

/**
 * @typedef {Object} Options
 * @property {number} [buffer] Events held at most (1000); beyond it the oldest go, and are counted in `dropped`.
 * @property {Storage | null} [storage] Where they are kept over reloads (localStorage); null: nowhere.
 * @property {(refusal: Refusal) => void} [onRefused] Told of each event that the receiver does not accept.
 * @property {(reason: string) => void} [onEnd] Told why, when trying again does not help: a wrong key, for example.
 */

/** @typedef {{ id: string, json: string }} Kept */

const VERSION = "0.1.0";
const SUBPROTOCOL = "headrace.v1";
const FINAL = new Map([
  [4400, "the receiver could not read a frame"],
  [4401, "the receiver does not take this write key from this page"],
  [4413, "the receiver found a frame too large"],
]);
const QUOTA = 4429;
const QUOTA_WAIT = 30_000; // milliseconds, at least, after the receiver said that it is too much
const FIRST_WAIT = 100; // milliseconds before the second attempt, at most; doubles up to
const LONGEST_WAIT = 10_000;
const STALL = 30_000; // milliseconds without an ack while events fly, after which the connection counts as dead
const FRAME = 100; // events in a frame, at most
const KEEP_AFTER = 50; // milliseconds after which a change is in the storage

/**
 * Return a client, which connects and connects again by itself.
 *
 * @param {string} url Of the receiver: `https://…` or `wss://…`.
 * @param {string} writeKey Of a source.
 * @param {Options} [options]
 * @returns {Client}
 */
export function connect(url, writeKey, options = {}) {
  return new Client(url, writeKey, options);
}

export class Client {
  /**
   * @param {string} url
   * @param {string} writeKey
   * @param {Options} options
   */
  constructor(url, writeKey, { buffer = 1000, storage = usable(), onRefused = () => {}, onEnd = () => {} } = {}) {
    /** Events that were pushed out of a full buffer, or came after the end, since the page was loaded. */
    this.dropped = 0;
    /** @type {string | undefined} Who the user is, from `identify` on. */
    this.userId = undefined;
    this._url = endpoint(url);
    this._key = writeKey;
    this._most = buffer;
    this._storage = storage;
    this._place = `headrace:${writeKey}:`;
    this._own = `${this._place}events:${crypto.randomUUID()}`;
    this._onRefused = onRefused;
    this._onEnd = onEnd;
    /** @type {Kept[]} */
    this._waiting = [];
    /** @type {Kept[]} In the order in which they were sent on this connection. */
    this._flying = [];
    this._acked = 0;
    this._window = 0;
    this._maxEvent = 32 << 10;
    this._maxFrame = 4 << 20;
    this._failures = 0;
    this._ended = "";
    this._keeping = 0;
    this._patience = 0;
    /** @type {(() => void)[]} */
    this._flushes = [];
    this._adopt();
    this._anonymousId = this._remembered("anonymousId", () => crypto.randomUUID());
    this.userId = this._storage?.getItem(`${this._place}userId`) ?? undefined;
    this._hidden = () => this._keep();
    this._online = () => this._socket || this._open();
    addEventListener("pagehide", this._hidden);
    addEventListener("online", this._online);
    this._open();
  }

  /** @param {string} event @param {Object} [properties] @param {Object} [more] @returns {string} its messageId */
  track(event, properties = {}, more = {}) {
    return this.send({ type: "track", event, properties, ...more });
  }

  /** @param {string} userId @param {Object} [traits] @param {Object} [more] @returns {string} its messageId */
  identify(userId, traits = {}, more = {}) {
    this.userId = userId;
    this._write(`${this._place}userId`, userId);
    return this.send({ type: "identify", traits, ...more });
  }

  /** @param {string} [name] @param {Object} [properties] @param {Object} [more] @returns {string} its messageId */
  page(name = document.title, properties = {}, more = {}) {
    return this.send({ type: "page", name, properties: { ...here(), ...properties }, ...more });
  }

  /** @param {string} name @param {Object} [properties] @param {Object} [more] @returns {string} its messageId */
  screen(name, properties = {}, more = {}) {
    return this.send({ type: "screen", name, properties, ...more });
  }

  /** @param {string} groupId @param {Object} [traits] @param {Object} [more] @returns {string} its messageId */
  group(groupId, traits = {}, more = {}) {
    return this.send({ type: "group", groupId, traits, ...more });
  }

  /** @param {string} userId @param {string} previousId @param {Object} [more] @returns {string} its messageId */
  alias(userId, previousId, more = {}) {
    return this.send({ type: "alias", userId, previousId, ...more });
  }

  /**
   * Take one event as it is; who, when and where are added unless it says so itself. Never throws, since no page shall
   * break over this: what comes after the end is counted in `dropped`.
   *
   * @param {Object} event
   * @returns {string} its messageId
   */
  send(event) {
    const id = crypto.randomUUID();
    const who = { userId: this.userId, anonymousId: this._anonymousId };
    const body = { messageId: id, timestamp: new Date().toISOString(), ...who, ...event };
    body.context = { ...context(), ...event.context };
    if (this._ended) {
      this.dropped += 1;
    } else {
      this._take({ id: String(body.messageId), json: JSON.stringify(body) });
      this._pump();
    }
    return String(body.messageId);
  }

  /** Forget who the user is: what comes next is somebody else's. */
  reset() {
    this.userId = undefined;
    this._storage?.removeItem(`${this._place}userId`);
    this._storage?.removeItem(`${this._place}anonymousId`);
    this._anonymousId = this._remembered("anonymousId", () => crypto.randomUUID());
  }

  /**
   * Wait until all that was sent is acknowledged or refused.
   *
   * @returns {Promise<void>} rejected if it never will be
   */
  flush() {
    return new Promise((done, failed) => {
      const look = () => {
        if (this._ended) failed(new Error(`headrace: ${this._ended}`));
        else if (this._waiting.length + this._flying.length === 0) done();
        else this._flushes.push(look);
      };
      look();
    });
  }

  /**
   * Flush for at most so many seconds and disconnect. What was not delivered stays in the storage.
   *
   * @param {number} [seconds]
   * @returns {Promise<number>} how many events that are
   */
  async close(seconds = 5) {
    const late = new Promise((done) => setTimeout(done, seconds * 1000));
    await Promise.race([this.flush().catch(() => {}), late]);
    const left = this._waiting.length + this._flying.length;
    this._end("the client is closed");
    return left;
  }

  _open() {
    if (this._ended) return;
    clearTimeout(this._again);
    const socket = new WebSocket(this._url, SUBPROTOCOL);
    this._socket = socket;
    socket.onopen = () => socket.send(JSON.stringify({ type: "hello", writeKey: this._key }));
    socket.onmessage = ({ data }) => this._socket === socket && this._hear(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this._socket === socket && this._lost(code, reason);
  }

  /** @param {Object} said */
  _hear(said) {
    if (said.type === "ready") {
      Object.assign(this, { _window: said.window, _maxEvent: said.maxEvent, _maxFrame: said.maxFrame, _failures: 0 });
    } else if (said.type === "ack") {
      this._flying.splice(0, said.upto - this._acked);
      this._acked = said.upto;
      for (const { messageId, code, message } of said.refused ?? []) this._onRefused({ messageId, code, message });
      this._changed();
    }
    this._watch();
    this._pump();
  }

  /** @param {number} code @param {string} reason */
  _lost(code, reason) {
    this._socket = undefined;
    this._window = this._acked = 0;
    clearTimeout(this._patience);
    this._waiting.unshift(...this._flying.splice(0));
    if (FINAL.has(code)) {
      this._end(reason ? `${FINAL.get(code)}: ${reason}` : String(FINAL.get(code)));
      return;
    }
    const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(this._failures, 20));
    this._failures += 1;
    const wait = (code === QUOTA ? QUOTA_WAIT : 0) + Math.random() * most;
    this._again = setTimeout(() => this._open(), wait);
  }

  _pump() {
    while (this._socket?.readyState === WebSocket.OPEN && this._waiting.length && this._flying.length < this._window) {
      const room = Math.min(FRAME, this._window - this._flying.length);
      const batch = [];
      let size = 0;
      while (batch.length < room && this._waiting.length) {
        const bytes = sizeOf(this._waiting[0].json);
        if (bytes > this._maxEvent) {
          const { id } = /** @type {Kept} */ (this._waiting.shift());
          const message = `the event has ${bytes} bytes, ${this._maxEvent} are allowed`;
          this._onRefused({ messageId: id, code: "too_large", message });
          this._changed();
          continue;
        }
        if (batch.length && size + bytes > this._maxFrame / 2) break;
        size += bytes;
        batch.push(/** @type {Kept} */ (this._waiting.shift()));
      }
      if (!batch.length) return;
      this._flying.push(...batch);
      const sentAt = new Date().toISOString();
      this._socket.send(`{"batch":[${batch.map(({ json }) => json).join(",")}],"sentAt":"${sentAt}"}`);
      this._watch();
    }
  }

  /** Give a connection up that acknowledges nothing: some networks swallow everything without a word. */
  _watch() {
    clearTimeout(this._patience);
    if (!this._flying.length) return;
    const socket = this._socket;
    this._patience = setTimeout(() => {
      if (this._socket !== socket) return;
      socket?.close();
      this._lost(1006, "");
    }, STALL);
  }

  /** @param {Kept} event */
  _take(event) {
    this._waiting.push(event);
    if (this._waiting.length + this._flying.length > this._most && this._waiting.length > 1) {
      this._waiting.shift();
      this.dropped += 1;
    }
    this._changed();
  }

  _changed() {
    this._keeping ||= setTimeout(() => this._keep(), KEEP_AFTER);
    for (const look of this._flushes.splice(0)) look();
  }

  /** Write what is not acknowledged; a storage that is full or forbidden is done without. */
  _keep() {
    clearTimeout(this._keeping);
    this._keeping = 0;
    const left = [...this._flying, ...this._waiting];
    if (left.length) this._write(this._own, JSON.stringify(left));
    else this._storage?.removeItem(this._own);
  }

  /**
   * Take what earlier pages left. What another page still holds is taken too, and sent twice: the receiver knows the
   * messageId.
   */
  _adopt() {
    for (const place of Object.keys(this._storage ?? {}).filter((key) => key.startsWith(`${this._place}events:`))) {
      try {
        const left = JSON.parse(this._storage?.getItem(place) ?? "");
        if (!Array.isArray(left)) continue;
        this._storage?.removeItem(place);
        for (const event of left) this._take(event);
      } catch {
        // Not ours, or torn: left alone.
      }
    }
  }

  /** @param {string} name @param {() => string} make @returns {string} */
  _remembered(name, make) {
    const known = this._storage?.getItem(this._place + name);
    if (known) return known;
    const made = make();
    this._write(this._place + name, made);
    return made;
  }

  /** @param {string} place @param {string} text */
  _write(place, text) {
    try {
      this._storage?.setItem(place, text);
    } catch {
      // Full: what is in memory is still sent.
    }
  }

  /** @param {string} reason */
  _end(reason) {
    if (this._ended) return;
    this._ended = reason;
    clearTimeout(this._again);
    clearTimeout(this._patience);
    removeEventListener("pagehide", this._hidden);
    removeEventListener("online", this._online);
    this._keep();
    this._socket?.close();
    this._changed();
    this._keep();
    this._onEnd(reason);
  }
}

/** @param {string} url @returns {string} */
function endpoint(url) {
  const parsed = new URL(url, location.href);
  parsed.protocol = parsed.protocol.replace("http", "ws");
  if (parsed.pathname === "/") parsed.pathname = "/v1/stream";
  return parsed.href;
}

/** @returns {Storage | null} */
function usable() {
  try {
    return localStorage;
  } catch {
    return null; // forbidden, as in some private windows
  }
}

/** @param {string} text @returns {number} bytes in UTF-8 */
function sizeOf(text) {
  return new TextEncoder().encode(text).length;
}

function here() {
  const { pathname: path, search, href: url } = location;
  return { path, referrer: document.referrer, search, title: document.title, url };
}

function context() {
  const library = { name: "headrace.js", version: VERSION };
  const { timeZone: timezone } = Intl.DateTimeFormat().resolvedOptions();
  return { library, page: here(), locale: navigator.language, timezone, userAgent: navigator.userAgent };
}
