/**
 * Messages as dots on a canvas over the stage, at real rates: from exact counts per link and window
 * (`agg.links`) a share is drawn, so that a link shows about 1 + 3·log10(rate) dots, at most DOTS_MAX in all.
 */

import { colour, find, findAll, text } from "../dom.js";
import { CLASSES, classOf } from "../select.js";

export const DOTS_MAX = 300;
/** Seconds a dot needs for its link. */
const TRAVEL_S = 1.1;
/** Seconds after its window that a class sets off: an answer follows its question, as on the wire. */
const SETS_OFF_S = { accept: 0, accepted: TRAVEL_S, repair: 2 * TRAVEL_S, election: 0, twopc: 0, heartbeat: 0 };
/** Dots keep to the right of the line by this many pixels, so that both directions show. */
const SIDE = 4.5;
/** However slowly a film runs, dots still move. */
const PACE_MIN = 0.02;
/** Weight of the newest window in the running rate of a link. */
const NEWEST = 0.1;

/** How much of a class is drawn at a rate per second: the share of its messages that become dots. */
export function shareDrawn(rate) {
  if (rate <= 1) return 1;
  return Math.min(1, (1 + 3 * Math.log10(rate)) / (rate * TRAVEL_S));
}

/** Decides which messages become dots. Holds running rates; knows nothing of the canvas. */
export class Sampler {
  constructor() {
    this.links = new Map();
    this.ts = 0;
  }

  /** Dots for the windows that are new in `view`: [{a, b, cls}], and how many messages they stand for. */
  take(view) {
    const dots = [];
    let messages = 0;
    // The view went back in time: what is known of windows lies ahead of it.
    if (view.ts < this.ts) this.links.clear();
    this.ts = view.ts;
    for (const [key, link] of Object.entries(view.links)) {
      const known = this.links.get(key) ?? { ts: 0, rates: {}, owed: {} };
      if (link.ts <= known.ts) continue;
      known.ts = link.ts;
      this.links.set(key, known);
      messages += this.#window(key, link, known, dots);
    }
    return { dots, messages };
  }

  #window(key, link, known, dots) {
    const [a, b] = key.split(">");
    const counts = {};
    for (const [name, value] of Object.entries(link.m)) {
      counts[classOf(name)] = (counts[classOf(name)] ?? 0) + value;
    }
    let messages = 0;
    for (const cls of CLASSES) {
      const seen = counts[cls] ?? 0;
      const rate = (seen * 1000) / link.window;
      known.rates[cls] = (known.rates[cls] ?? 0) * (1 - NEWEST) + rate * NEWEST;
      const due = (known.owed[cls] ?? 0) + seen * shareDrawn(known.rates[cls]);
      const whole = Math.floor(due + 1e-9);
      known.owed[cls] = due - whole;
      messages += seen;
      for (let index = 0; index < whole; index += 1) dots.push({ a, b, cls, delay: index / whole });
    }
    return messages;
  }
}

export class Particles {
  constructor(canvas, stage) {
    this.canvas = canvas;
    this.stage = stage;
    this.context = canvas.getContext("2d");
    this.sampler = new Sampler();
    this.dots = [];
    this.held = false;
    /** Seconds of the picture: those on the wall, fewer while a film runs slowly. */
    this.clock = 0;
    this.pace = 1;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.running = false;
    this.drawn = 0;
    this.stood = 0;
    stage.onLayout(() => this.#fit());
    this.recolour();
    canvas.hidden = false;
  }

  recolour() {
    this.colours = {
      text: colour("--text"), muted: colour("--muted"), warn: colour("--warn"), surface: colour("--surface"),
      accent: colour("--accent"),
    };
    this.hues = new Map(findAll("[data-cluster]", this.stage.root).flatMap((group) => {
      const hue = colour("--hue", group);
      return findAll("[data-node]", group).map((element) => [element.dataset.node, hue]);
    }));
  }

  /** New counts: let their dots go, spread over the window. A held view lets nothing move; `speed` is that of a film. */
  update(view, held, speed = 1) {
    this.held = held;
    this.pace = Math.max(PACE_MIN, Math.min(1, speed));
    const { dots, messages } = this.sampler.take(view);
    if (held || this.still.matches) return;
    for (const dot of dots) {
      if (this.dots.length >= DOTS_MAX) break;
      this.dots.push({ ...dot, born: this.clock + SETS_OFF_S[dot.cls] + dot.delay * 0.1 });
    }
    this.drawn = this.drawn * 0.98 + dots.length;
    this.stood = this.stood * 0.98 + messages;
    if (this.dots.length && !this.running) {
      this.running = true;
      this.last = performance.now() / 1000;
      requestAnimationFrame(() => this.#draw());
    }
  }

  /** About how many messages one dot stands for. */
  messagesPerDot() {
    return this.drawn < 1 ? 1 : Math.max(1, Math.round(this.stood / this.drawn));
  }

  #fit() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const { clientWidth, clientHeight } = this.stage.root;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.paths = new Map();
  }

  #path(a, b) {
    const key = `${a}>${b}`;
    let path = this.paths.get(key);
    if (!path) {
      if (!this.stage.boxes.has(a) || !this.stage.boxes.has(b)) return null;
      const [from, to] = this.stage.segment(a, b);
      const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
      const side = { x: (-(to.y - from.y) / length) * SIDE, y: ((to.x - from.x) / length) * SIDE };
      path = { x: from.x + side.x, y: from.y + side.y, dx: to.x - from.x, dy: to.y - from.y };
      this.paths.set(key, path);
    }
    return path;
  }

  #draw() {
    const now = performance.now() / 1000;
    // A held view, or a page that was hidden, takes no time off the dots under way.
    if (!this.held) this.clock += Math.min(0.25, now - this.last) * this.pace;
    this.last = now;
    this.dots = this.dots.filter((dot) => this.clock - dot.born < TRAVEL_S);
    const { context } = this;
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (const dot of this.dots) {
      const part = (this.clock - dot.born) / TRAVEL_S;
      const path = part < 0 ? null : this.#path(dot.a, dot.b);
      if (path) this.#dot(dot, path.x + path.dx * part, path.y + path.dy * part);
    }
    if (this.dots.length) requestAnimationFrame(() => this.#draw());
    else this.running = false;
  }

  #dot({ a, cls }, x, y) {
    const { context, colours } = this;
    const hue = this.hues.get(a) ?? colours.text;
    if (cls === "heartbeat") return this.#disc(x, y, 1.5, colours.muted);
    if (cls === "accept") return this.#disc(x, y, 3.6, hue);
    if (cls === "accepted") return this.#ring(x, y, hue);
    if (cls === "repair") {
      context.fillStyle = colours.muted;
      return context.fillRect(x - 2.2, y - 2.2, 4.4, 4.4);
    }
    if (cls === "twopc") return this.#shape(colours.accent, [[x, y - 4.4], [x + 4.2, y + 3.2], [x - 4.2, y + 3.2]]);
    return this.#shape(colours.warn, [[x, y - 4.6], [x + 4.6, y], [x, y + 4.6], [x - 4.6, y]]);
  }

  #shape(style, points) {
    const { context } = this;
    context.fillStyle = style;
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x, y);
    context.fill();
  }

  #disc(x, y, radius, style) {
    const { context } = this;
    context.fillStyle = style;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }

  #ring(x, y, style) {
    const { context } = this;
    this.#disc(x, y, 3.2, this.colours.surface);
    context.strokeStyle = style;
    context.lineWidth = 1.6;
    context.stroke();
  }
}

/** Keeps the legend's scale true. */
export function showScale(particles) {
  const scale = particles.messagesPerDot();
  text(find("[data-legend=scale]"), scale === 1 ? "1 dot = 1 message" : `1 dot ≈ ${scale} messages`);
}
