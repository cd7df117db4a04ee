/** What a time bar marks: faults and their ends, elections, epochs of the map, benchmarks. */

/** Class of a mark by kind of event; a fault and what ends it are two classes. */
const CLASS_OF = {
  "node.down": "fault", "node.fail": "fault", "node.pause": "fault", "link.cut": "fault",
  "node.up": "mend", "node.recover": "mend", "link.heal": "mend",
  "paxos.ballot": "election", "paxos.leader": "election",
  "map.epoch": "epoch",
  "bench.phase": "benchmark",
};
export const MARKED_KINDS = Object.keys(CLASS_OF);
/** The classes in words, in the order of the legend. */
export const MARK_WORDS = {
  fault: "fault", mend: "end of a fault", election: "election", epoch: "accounts moved", benchmark: "benchmark",
};

/** The class of an event; "" for those that are not marked. Of an election: who stood for it, and who won. */
export function markOf(event) {
  const cls = CLASS_OF[event.k] ?? "";
  if (cls !== "election") return cls;
  return (event.k === "paxos.ballot" ? event.b[1] : event.leader) === event.n ? cls : "";
}

/** Marks of a class that are no farther apart become one when there are too many: a time bar of ten minutes shows no more. */
const MERGED_US = 5_000_000;
/** Of a recording, which may be hours long and does not grow, so many are kept. */
export const RECORDED_MAX = 5_000;

/**
 * @typedef {object} Mark
 * @property {string} cls
 * @property {object} first event, and
 * @property {object} last of those that it stands for: the same for most
 * @property {number} stands how many
 */

/**
 * Marks of a run, by time. The newest stand for themselves; of those before them close ones become one, and the oldest
 * go when that is too many.
 */
export class Marks {
  /** @param {number} newest left whole @param {number} older after that */
  constructor(newest = 100, older = 600) {
    this.newest = newest;
    this.older = older;
    /** In the order of `q`. @type {Mark[]} */
    this.marks = [];
    this.limit = 2 * newest;
    /** Grows with each change. */
    this.version = 0;
  }

  /** Take in the marked ones of `events`; what is known already, and what is of older order numbers, may be among them. */
  add(events) {
    const fresh = [];
    for (const event of events) {
      const cls = markOf(event);
      if (cls !== "") fresh.push({ cls, first: event, last: event, stands: 1 });
    }
    if (fresh.length === 0) return;
    this.version += 1;
    const latest = this.marks.reduce((most, { last }) => Math.max(most, last.q), -1);
    if (fresh.every(({ first: { q } }, index) => q > (index ? fresh[index - 1].first.q : latest))) {
      this.marks = [...this.marks, ...fresh];
    } else {
      const seen = new Set();
      const unknown = fresh.filter(({ cls, first: { q } }) => {
        const known = seen.has(q) || this.marks.some((mark) => mark.cls === cls && mark.first.q <= q && q <= mark.last.q);
        seen.add(q);
        return !known;
      });
      this.marks = [...this.marks, ...unknown].sort((a, b) => a.first.q - b.first.q);
    }
    if (this.marks.length > this.limit) this.#thin();
  }

  /** How many events of each class were taken in and not left out. @returns {Record<string, number>} */
  get counts() {
    const counts = {};
    for (const { cls, stands } of this.marks) counts[cls] = (counts[cls] ?? 0) + stands;
    return counts;
  }

  clear() {
    this.marks = [];
    this.limit = 2 * this.newest;
    this.version += 1;
  }

  /** Marks to draw from `from` to `to`: `[class, event, how many it stands for]`, one of each class for each of `places`. */
  between(from, to, places = 100) {
    const width = Math.max(1, (to - from) / places);
    const found = new Map();
    for (const { cls, first, stands } of this.marks) {
      if (first.ts < from || first.ts > to) continue;
      const key = `${cls} ${Math.floor((first.ts - from) / width)}`;
      const mark = found.get(key);
      if (mark) mark[2] += stands;
      else found.set(key, [cls, first, stands]);
    }
    return [...found.values()];
  }

  /** The next (1) or previous (-1) event of a class, seen from order number `q`; null when there is none. */
  next(q, direction, cls) {
    if (direction > 0) {
      const mark = this.marks.find((one) => one.cls === cls && one.last.q > q);
      return mark ? (mark.first.q > q ? mark.first : mark.last) : null;
    }
    const mark = this.marks.findLast((one) => one.cls === cls && one.first.q < q);
    return mark ? (mark.last.q < q ? mark.last : mark.first) : null;
  }

  #thin() {
    const older = [];
    const latest = {};
    for (const mark of this.marks.slice(0, -this.newest)) {
      const before = latest[mark.cls];
      if (before && mark.last.ts - before.first.ts < MERGED_US) {
        before.last = mark.last;
        before.stands += mark.stands;
      } else {
        latest[mark.cls] = { ...mark };
        older.push(latest[mark.cls]);
      }
    }
    this.marks = [...older.slice(-this.older), ...this.marks.slice(-this.newest)];
    this.limit = this.marks.length + this.newest;
  }
}
