/**
 * The live websocket: key frames, event frames and gaps in; acknowledgements out. Connects again by
 * itself, with growing pauses, for as long as the page is open.
 */

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 8_000;
/** Closed because nobody is signed in: trying again would not help. */
const CLOSE_SIGNED_OUT = 4401;
/** Older than this, what is shown is called stale. The site sends something every second. */
export const STALE_MS = 2_500;

/**
 * @typedef {object} Handlers
 * @property {(frame: object) => void} key
 * @property {(frame: object) => void} frame
 * @property {(frame: object) => void} gap
 */

export class Live {
  /**
   * @param {string} url of the websocket
   * @param {Handlers} handlers
   * @param {{Socket?: typeof WebSocket, now?: () => number, later?: typeof setTimeout}} [parts]
   */
  constructor(url, handlers, parts = {}) {
    this.url = url;
    this.handlers = handlers;
    this.Socket = parts.Socket ?? globalThis.WebSocket;
    this.now = parts.now ?? (() => performance.now());
    this.later = parts.later ?? ((callback, ms) => setTimeout(callback, ms));
    /** "waiting" until the first key frame, "live", "signed-out". */
    this.link = "waiting";
    this.lastAt = null;
    this.retryMs = RETRY_MS_MIN;
    this.lastFrame = 0;
  }

  /** Seconds since something arrived; null before anything did. */
  ageSeconds() {
    return this.lastAt === null ? null : (this.now() - this.lastAt) / 1000;
  }

  /** "live", "stale", "waiting" or "signed-out". */
  status() {
    if (this.link !== "live") return this.link;
    return this.now() - this.lastAt > STALE_MS ? "stale" : "live";
  }

  connect() {
    const socket = new this.Socket(this.url);
    this.socket = socket;
    socket.onmessage = (message) => {
      if (socket === this.socket) this.#take(message.data);
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.#lost(event.code);
    };
  }

  /** Drop the connection and ask for a fresh key frame. */
  restart() {
    const socket = this.socket;
    this.socket = null;
    this.link = "waiting";
    socket?.close();
    this.connect();
  }

  #take(data) {
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      console.warn("live: a frame was not JSON; asking for a new key frame");
      this.restart();
      return;
    }
    this.lastAt = this.now();
    if (frame.type === "key") {
      this.link = "live";
      this.retryMs = RETRY_MS_MIN;
      this.handlers.key(frame);
    } else if (frame.type === "frame" && this.link === "live") {
      this.handlers.frame(frame);
      this.lastFrame = frame.f;
      this.socket.send(JSON.stringify({ type: "ack", f: frame.f }));
    } else if (frame.type === "gap") {
      // Nothing joins on to what is held until the key frame that follows.
      this.link = "waiting";
      this.handlers.gap(frame);
    }
  }

  #lost(code) {
    this.socket = null;
    if (code === CLOSE_SIGNED_OUT) {
      this.link = "signed-out";
      return;
    }
    this.link = "waiting";
    const pause = this.retryMs;
    this.retryMs = Math.min(2 * this.retryMs, RETRY_MS_MAX);
    this.later(() => {
      if (this.socket === null && this.link === "waiting") this.connect();
    }, pause);
  }
}
