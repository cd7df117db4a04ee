/**
 * Holds the live state (`head`) and the one on view (`view`). Paused, the view stands still while the
 * head goes on, and can be stepped event by event through what is remembered around it.
 *
 * Listeners run at most once per animation frame, however many frames of events came in.
 */

import { empty, foldAll } from "./reducer.js";

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
    this.view = this.head;
    this.paused = false;
    /** Visible events that came in since the pause. */
    this.fresh = 0;
    /** The event the view stands at while paused. */
    this.at = null;
    /** Events that never came: left out by the site, or lost in gaps. */
    this.missing = 0;
    this.past = [];
    this.pastEvents = 0;
    this.listeners = new Set();
    this.due = false;
  }

  /** Calls `listener(view, store)` after changes; returns the function that ends it. */
  subscribe(listener) {
    this.listeners.add(listener);
    this.#wake();
    return () => this.listeners.delete(listener);
  }

  /** A keyframe: everything known before is void. A held view stays. */
  key(frame) {
    this.head = frame.state;
    this.past = [];
    this.pastEvents = 0;
    if (this.paused) this.#cutAhead();
    else this.view = this.head;
    this.#wake();
  }

  /** A batch of events in order. */
  frame({ events, dropped = 0 }) {
    this.missing += dropped;
    if (events.length > 0) {
      const before = this.head;
      this.head = foldAll(before, events);
      if (this.paused) this.#keepAhead(events);
      else this.#keepPast(before, events);
    }
    if (!this.paused) this.view = this.head;
    this.#wake();
  }

  /** Events `from`..`to` were not received; a keyframe follows. */
  gap({ from, to }) {
    this.missing += Math.max(0, to - from + 1);
    this.#wake();
  }

  pause() {
    if (this.paused) return;
    this.paused = true;
    this.fresh = 0;
    this.track = {
      base: this.past[0]?.state ?? this.view,
      events: this.past.flatMap((entry) => entry.events),
      open: true,
      room: AHEAD_EVENTS_MAX,
    };
    this.cursor = this.track.events.length;
    this.#look();
  }

  resume() {
    if (!this.paused) return;
    this.paused = false;
    this.track = null;
    this.at = null;
    this.past = [];
    this.pastEvents = 0;
    this.view = this.head;
    this.#wake();
  }

  /** Moves a held view by one visible event; false when nothing more is remembered that way. */
  step(direction) {
    if (!this.paused) this.pause();
    const { events, base } = this.track;
    if (direction > 0) {
      let next = this.cursor;
      while (next < events.length && !isVisible(events[next])) next += 1;
      if (next === events.length) return false;
      this.view = foldAll(this.view, events.slice(this.cursor, next + 1));
      this.cursor = next + 1;
    } else {
      let next = events.slice(0, this.cursor).findLastIndex(isVisible);
      next = next < 1 ? -1 : events.slice(0, next).findLastIndex(isVisible);
      if (next < 0) return false;
      this.cursor = next + 1;
      this.view = foldAll(base, events.slice(0, this.cursor));
    }
    this.#look();
    return true;
  }

  #look() {
    this.at = this.track.events.slice(0, this.cursor).findLast(isVisible) ?? null;
    this.#wake();
  }

  #keepPast(state, events) {
    this.past.push({ state, events });
    this.pastEvents += events.length;
    while (this.past.length > PAST_FRAMES_MAX || (this.pastEvents > PAST_EVENTS_MAX && this.past.length > 1)) {
      this.pastEvents -= this.past.shift().events.length;
    }
  }

  #keepAhead(events) {
    this.fresh += events.filter(isVisible).length;
    if (!this.track.open) return;
    const taken = events.slice(0, this.track.room);
    this.track.events.push(...taken);
    this.track.room -= taken.length;
    if (this.track.room === 0) this.#cutAhead();
  }

  /** From here on the events do not join on to what is remembered. */
  #cutAhead() {
    if (this.track) this.track.open = false;
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
