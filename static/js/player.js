/**
 * A stretch of a recording as a function of time: `at(index)` is the state after the first `index` events.
 *
 * The time of an event is the latest `ts` up to it, as that of a state. A keyframe is kept every
 * `KEYFRAME_EVENTS` events, so that a seek folds at most that many.
 */

import { markOf } from "./marks.js";
import { foldAll } from "./reducer.js";

export const KEYFRAME_EVENTS = 500;

export class Player {
  /** @param {object} state at the start @param {object[]} events that follow it, in order */
  constructor(state, events) {
    this.events = events;
    this.keyframes = [state];
    this.times = [];
    let now = state.ts;
    for (const event of events) {
      now = Math.max(now, event.ts);
      this.times.push(now);
    }
    this.start = state.ts;
    this.end = now;
    this.index = 0;
    this.state = state;
  }

  /** How many events are not later than `time` (UTC microseconds). */
  indexAt(time) {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Go to the state after the first `index` events, and return it. */
  goto(index) {
    const target = Math.max(0, Math.min(this.events.length, index));
    if (target >= this.index && target - this.index <= KEYFRAME_EVENTS) {
      this.state = foldAll(this.state, this.events.slice(this.index, target));
    } else {
      const wanted = Math.floor(target / KEYFRAME_EVENTS);
      while (this.keyframes.length <= wanted) {
        const from = (this.keyframes.length - 1) * KEYFRAME_EVENTS;
        this.keyframes.push(foldAll(this.keyframes.at(-1), this.events.slice(from, from + KEYFRAME_EVENTS)));
      }
      this.state = foldAll(this.keyframes[wanted], this.events.slice(wanted * KEYFRAME_EVENTS, target));
    }
    this.index = target;
    return this.state;
  }

  /** Go to a time. */
  seek(time) {
    return this.goto(this.indexAt(time));
  }

  /** More events, right after the last one. */
  append(events) {
    for (const event of events) {
      this.end = Math.max(this.end, event.ts);
      this.events.push(event);
      this.times.push(this.end);
    }
  }

  /** Index after the last event that people are told of; 0 when there is none. */
  #told() {
    let index = this.index;
    while (index > 0 && !isTold(this.events[index - 1])) index -= 1;
    return index;
  }

  /** The event that the state stands at, counts aside; null at the start. */
  get event() {
    return this.events[this.#told() - 1] ?? null;
  }

  /** Time of the state. */
  get time() {
    return this.index === 0 ? this.start : this.times[this.index - 1];
  }

  /** Go to the next (1) or previous (-1) event that `wanted` takes; false when there is none. */
  step(direction, wanted = isTold) {
    let index = (direction < 0 ? this.#told() : this.index) + direction;
    while (index > 0 && index <= this.events.length && !wanted(this.events[index - 1])) index += direction;
    if (index < 1 || index > this.events.length) return false;
    this.goto(index);
    return true;
  }

  /** Go to the next or previous election. */
  round(direction) {
    return this.step(direction, isRound);
  }

  /** Go to the event with an order number; false when it is not here. */
  find(q) {
    const index = this.events.findLastIndex((event) => event.q === q);
    if (index >= 0) this.goto(index + 1);
    return index >= 0;
  }

  /** The last events up to the state, oldest first. */
  recent(most) {
    return this.events.slice(Math.max(0, this.index - most), this.index);
  }
}

/** Counts come all the time; a step passes over them. */
const isTold = (event) => event.k !== "agg";

const isRound = (event) => markOf(event) === "election";

/** Speeds of a slider of `steps` positions, 1/10,000 to 16, on a log scale. */
export function speedOf(position, steps = 100) {
  return 10 ** (-4 + (position / steps) * (4 + Math.log10(16)));
}
