/**
 * A stretch of a recording as a function of time: `at(index)` is the state after the first `index` events.
 *
 * The time of an event is the latest `ts` up to it, as that of a state. A keyframe is kept every
 * `KEYFRAME_EVENTS` events, so that a seek folds at most that many.
 */

import { foldAll } from "./reducer.js";

export const KEYFRAME_EVENTS = 500;
const ROUND_KINDS = new Set(["paxos.ballot", "paxos.leader"]);

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

  /** The event that the state stands at; null at the start. */
  get event() {
    return this.events[this.index - 1] ?? null;
  }

  /** Time of the state. */
  get time() {
    return this.index === 0 ? this.start : this.times[this.index - 1];
  }

  /** Go to the next (1) or previous (-1) event that `wanted` takes; false when there is none. */
  step(direction, wanted = (event) => event.k !== "agg") {
    let index = this.index + direction;
    while (index > 0 && index <= this.events.length && !wanted(this.events[index - 1])) index += direction;
    if (index < 1 || index > this.events.length) return false;
    this.goto(index);
    return true;
  }

  /** Go to the next or previous election. */
  round(direction) {
    return this.step(direction, (event) => ROUND_KINDS.has(event.k));
  }

  /** What the time bar marks: `[time, class, event]`, at most `most`, one for each place on the bar. */
  marks(most = 200) {
    const width = Math.max(1, (this.end - this.start) / most);
    const found = new Map();
    this.events.forEach((event, index) => {
      const kind = markOf(event.k);
      const key = `${kind} ${Math.floor((this.times[index] - this.start) / width)}`;
      if (kind && !found.has(key)) found.set(key, [this.times[index], kind, event]);
    });
    return [...found.values()].slice(0, most);
  }
}

/** "fault", "election", "epoch", "benchmark", or "" for kinds the time bar does not mark. */
export function markOf(kind) {
  if (kind.startsWith("link.") || (kind.startsWith("node.") && kind !== "node.up")) return "fault";
  if (ROUND_KINDS.has(kind)) return "election";
  if (kind === "map.epoch") return "epoch";
  return kind === "bench.phase" ? "benchmark" : "";
}

/** Speeds of a slider of `steps` positions, 1/10,000 to 16, on a log scale. */
export function speedOf(position, steps = 100) {
  return 10 ** (-4 + (position / steps) * (4 + Math.log10(16)));
}
