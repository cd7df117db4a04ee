/**
 * What a page looks at. Live it follows the newest state (`head`); held it stands at a moment of the run, while the head
 * goes on beside it, and can be moved and played (timeline.js). In a recording it is always held.
 *
 * Listeners run at most once per animation frame, however many frames of events came in.
 */

import { Player } from "./player.js";
import { empty, foldAll } from "./reducer.js";
import { Timeline } from "./timeline.js";

/** Events remembered before the view (for stepping back) and after a pause (for stepping on). */
export const PAST_EVENTS_MAX = 3_000;
export const AHEAD_EVENTS_MAX = 5_000;
/** Frames remembered; 20 a second come in. */
const PAST_FRAMES_MAX = 200;

const isVisible = (event) => event.k !== "agg";

export class Store {
  /** @param {(callback: () => void) => void} schedule runs the callback with the next picture */
  constructor(schedule = (callback) => requestAnimationFrame(callback)) {
    this.schedule = schedule;
    this.head = empty();
    /** Where a held view stands; null while it follows the head. */
    this.timeline = null;
    /** Where more of the run can be had than is remembered here. @type {import("./timeline.js").Source | null} */
    this.source = null;
    /** Whether there is a head to go back to. */
    this.live = true;
    /** Visible events that came in since the pause. */
    this.fresh = 0;
    /** Events that never came: left out by the site, or lost in gaps. */
    this.missing = 0;
    this.past = [];
    this.pastEvents = 0;
    this.listeners = new Set();
    this.hearers = new Set();
    this.due = false;
    this.wake = () => this.#wake();
  }

  /** The state on view. */
  get view() {
    return this.timeline ? this.timeline.state : this.head;
  }

  /** Whether the view does not follow the head. */
  get held() {
    return this.timeline !== null;
  }

  /** Whether the view stands still. */
  get paused() {
    return this.timeline !== null && !this.timeline.playing;
  }

  /** The event that a held view stands at. */
  get at() {
    return this.timeline?.event ?? null;
  }

  /** The last events that led to the view, oldest first; those that are remembered. */
  recent(most) {
    if (this.timeline) return this.timeline.player.recent(most);
    return this.past.flatMap((entry) => entry.events).slice(-most);
  }

  /** Calls `listener(view, store)` after changes; returns the function that ends it. */
  subscribe(listener) {
    this.listeners.add(listener);
    this.#wake();
    return () => this.listeners.delete(listener);
  }

  /** Calls `hearer(events)` for each batch that comes in, held or not; returns the function that ends it. */
  hear(hearer) {
    this.hearers.add(hearer);
    return () => this.hearers.delete(hearer);
  }

  /** A keyframe: everything known before is void. A held view stays. */
  key(frame) {
    this.head = frame.state;
    this.past = [];
    this.pastEvents = 0;
    this.timeline?.close();
    this.timeline?.extend([], this.head.ts, 0);
    this.#wake();
  }

  /** A batch of events in order. */
  frame({ events, dropped = 0 }) {
    this.missing += dropped;
    if (events.length > 0) {
      const before = this.head;
      this.head = foldAll(before, events);
      this.#keepPast(before, events);
      if (this.timeline) {
        this.fresh += events.filter(isVisible).length;
        this.timeline.extend(events, this.head.ts, this.room);
      }
      for (const hearer of this.hearers) hearer(events);
    }
    this.#wake();
  }

  /** Events `from`..`to` were not received; a keyframe follows. */
  gap({ from, to }) {
    this.missing += Math.max(0, to - from + 1);
    this.#wake();
  }

  /** Hold the view where it is. */
  pause() {
    if (this.timeline) {
      this.timeline.playing = false;
    } else {
      this.fresh = 0;
      const player = new Player(this.past[0]?.state ?? this.head, this.past.flatMap((entry) => entry.events));
      player.goto(player.events.length);
      this.room = player.events.length + AHEAD_EVENTS_MAX;
      this.timeline = new Timeline(
        { player, from: player.start, to: player.end }, { source: this.source, open: true, changed: this.wake },
      );
    }
    this.#wake();
  }

  /** Look at a recording: there is nothing live to follow. */
  replay(timeline) {
    this.live = false;
    this.source = timeline.source;
    this.timeline = timeline;
    timeline.changed = this.wake;
    this.#wake();
  }

  /** Follow the head again. */
  resume() {
    if (!this.timeline || !this.live) return;
    this.timeline = null;
    this.#wake();
  }

  /** Play a held view on from where it stands, or stop it there. */
  play(on) {
    this.pause();
    this.timeline.playing = on;
    this.#wake();
  }

  /** Moves a held view by one visible event; false when there is nothing more that way. */
  step(direction) {
    this.pause();
    return this.timeline.step(direction);
  }

  #keepPast(state, events) {
    this.past.push({ state, events });
    this.pastEvents += events.length;
    while (this.past.length > PAST_FRAMES_MAX || (this.pastEvents > PAST_EVENTS_MAX && this.past.length > 1)) {
      this.pastEvents -= this.past.shift().events.length;
    }
  }

  #wake() {
    if (this.due) return;
    this.due = true;
    this.schedule(() => {
      this.due = false;
      for (const listener of this.listeners) listener(this.view, this);
    });
  }
}
