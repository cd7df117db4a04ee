/** The time bar: marks, a slider over the run, pause and play, steps, speed. One for live pages and for recordings. */

import { attribute, findAll, iconAddress, make, show, text } from "../dom.js";
import { count, moment, pace, timeOfDay } from "../format.js";
import { MARK_WORDS } from "../marks.js";
import { speedOf } from "../player.js";

/** How much of a live run the bar shows, at most, in microseconds. */
export const RANGE_US = 600_000_000;
/** Share of the bar that is left before a moment outside of that. */
const LEAD = 0.1;
/** Marks for each class that find room on the bar, and how often they are placed anew while it slides. */
const PLACES = 120;
const MARKS_EVERY_MS = 1_000;
/** So long marks stand still under a pointer that moved: somebody is about to click one. */
const STILL_MS = 2_000;

export class TimeBar {
  /**
   * @param {import("../store.js").Store} store
   * @param {{narrate: Function, moves: import("../moves.js").Moves}} parts
   */
  constructor(root, store, { narrate, moves }) {
    this.store = store;
    this.narrate = narrate;
    this.moves = moves;
    this.marks = moves.marks;
    this.marked = -1;
    this.pointedAt = -Infinity;
    this.parts = Object.fromEntries(findAll("[data-time]", root).map((element) => [element.dataset.time, element]));
    this.drawnAt = -MARKS_EVERY_MS;
    this.#listen(root);
    this.showSpeed();
    show(root, true);
  }

  #listen(root) {
    const { bar, speed, marks } = this.parts;
    root.addEventListener("click", (event) => {
      const name = event.target.closest("button[data-time]")?.dataset.time;
      if (name in this.moves.acts) this.moves.acts[name]();
    });
    bar.addEventListener("input", () => this.moves.seek(this.from + Number(bar.value)));
    speed.addEventListener("input", () => {
      this.moves.setSpeed(Number(speed.value));
      this.showSpeed();
    });
    marks.addEventListener("pointermove", () => {
      this.pointedAt = performance.now();
    });
    marks.addEventListener("click", (event) => {
      const mark = event.target.closest("[data-q]");
      if (mark) this.moves.goto(Number(mark.dataset.t), Number(mark.dataset.q));
    });
  }

  showSpeed() {
    const { speed } = this.parts;
    speed.value = String(this.moves.speedPosition);
    const words = pace(speedOf(this.moves.speedPosition));
    text(this.parts["speed-text"], words);
    attribute(speed, "aria-valuetext", words);
  }

  /** From when to when the bar goes, for a view. */
  range() {
    const { timeline, live, source, head } = this.store;
    if (!live) return [timeline.start, timeline.end];
    const to = head.ts;
    const start = source ? source.start : (timeline?.start ?? to);
    const clock = timeline ? timeline.clock : to;
    return [Math.max(start, Math.min(to - RANGE_US, clock - RANGE_US * LEAD)), to];
  }

  update() {
    const { store, parts } = this;
    if (!store.view.run) return;
    const { timeline } = store;
    const [from, to] = this.range();
    const clock = timeline ? timeline.clock : to;
    const slid = from !== this.from || to !== this.to;
    this.from = from;
    this.to = to;
    attribute(parts.bar, "max", Math.max(1, to - from));
    parts.bar.value = String(clock - from);
    const words = moment(clock, store.view.src, store.timeline?.start ?? 0);
    attribute(parts.bar, "aria-valuetext", store.held ? words : `${words}, live`);
    text(parts.clock, store.held ? words : timeOfDay(to));
    attribute(parts.play, "aria-pressed", String(store.paused));
    text(parts["play-text"], store.paused ? "Play" : "Pause");
    attribute(parts["play-icon"], "href", iconAddress(store.paused ? "play" : "paused"));
    attribute(parts.link, "href", this.moves.link());
    const now = performance.now();
    if (now - this.pointedAt < STILL_MS) return;
    if (this.marks.version !== this.marked || (slid && now - this.drawnAt >= MARKS_EVERY_MS)) {
      this.drawnAt = now;
      this.marked = this.marks.version;
      this.#drawMarks();
    }
  }

  #drawMarks() {
    const { from, to, store } = this;
    const width = Math.max(1, to - from);
    const shown = this.marks.between(from, to, PLACES).map(([cls, event, stands]) => {
      const when = moment(event.ts, store.view.src, store.timeline?.start ?? 0);
      const words = `${when} ${this.narrate(event) ?? MARK_WORDS[cls]}${stands > 1 ? ` and ${count(stands - 1)} more` : ""}`;
      const mark = make("i", { class: `time-mark mark-of-${cls}`, title: words, "data-t": event.ts, "data-q": event.q });
      mark.style.left = `${((100 * (event.ts - from)) / width).toFixed(2)}%`;
      return mark;
    });
    this.parts.marks.replaceChildren(...shown);
  }
}
