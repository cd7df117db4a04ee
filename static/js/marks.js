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

/** Marks of a run, by time. Those of the oldest time go when there are too many. */
export class Marks {
  constructor(most = 5_000) {
    this.most = most;
    /** Marked events, in the order of `q`. */
    this.events = [];
    /** Grows with each change. */
    this.version = 0;
  }

  /** Take in the marked ones of `events`; what is known already, and what is of older order numbers, may be among them. */
  add(events) {
    const fresh = events.filter((event) => markOf(event) !== "");
    if (fresh.length === 0) return;
    this.version += 1;
    const last = this.events.at(-1)?.q ?? -1;
    if (fresh.every((event, index) => event.q > (index ? fresh[index - 1].q : last))) {
      this.events.push(...fresh);
    } else {
      const all = new Map([...this.events, ...fresh].map((event) => [event.q, event]));
      this.events = [...all.values()].sort((a, b) => a.q - b.q);
    }
    if (this.events.length > this.most) this.events.splice(0, this.events.length - this.most);
  }

  clear() {
    this.events = [];
    this.version += 1;
  }

  /** Marks to draw from `from` to `to`: `[class, event, how many it stands for]`, one of each class for each of `places`. */
  between(from, to, places = 100) {
    const width = Math.max(1, (to - from) / places);
    const found = new Map();
    for (const event of this.events) {
      if (event.ts < from || event.ts > to) continue;
      const cls = markOf(event);
      const key = `${cls} ${Math.floor((event.ts - from) / width)}`;
      const mark = found.get(key);
      if (mark) mark[2] += 1;
      else found.set(key, [cls, event, 1]);
    }
    return [...found.values()];
  }

  /** The next (1) or previous (-1) event of a class, seen from order number `q`; null when there is none. */
  next(q, direction, cls) {
    const fits = (event) => markOf(event) === cls && (direction > 0 ? event.q > q : event.q < q);
    return (direction > 0 ? this.events.find(fits) : this.events.findLast(fits)) ?? null;
  }
}
