/**
 * The state a page shows, as a pure function of trace events. Twin of consensus/trace/fold.py.
 *
 * `fold(begin(header), e1, e2, …)` gives the same JSON value here and on the server, and folding on from
 * any keyframe gives what folding from the start gives (tests/data/traces holds both to it). So: no
 * clock, no rounding, no iteration whose order could differ, and every list bounded.
 *
 * A state is never changed in place: a Draft copies a part of it before the first write to it in a call.
 */

export const SCHEMA_VERSION = 1;
export const FEED_MAX = 100;
export const TRANSACTIONS_MAX = 100;
export const SERIES_MAX = 180;
/** Width of a bucket of `series`, in microseconds. */
export const SERIES_US = 1_000_000;
/** Buckets that a late window may still be added to. */
const SERIES_BACK = 5;
/** Nodes remembered per transaction as having applied it. */
const APPLIED_MAX = 16;
const COUNTS = ["committed", "aborted", "reads", "refused"];
const STATUS_FIELDS = [
  "ballot", "leader", "watermark", "applied", "proposed", "checkpoint", "lag", "queue", "in_flight",
];

/** Order of two ballots `[round, node]`: negative, zero or positive. */
export function compareBallots(a, b) {
  return a[0] - b[0] || a[1] - b[1];
}

/** The state before anything is known. */
export function empty() {
  return {
    v: SCHEMA_VERSION, run: "", src: "", q: 0, ts: 0, inc: 0,
    clusters: {}, nodes: {}, links: {}, cuts: {}, series: [], tx: [], feed: [], checks: {}, lost: 0,
  };
}

/** The state at the start of a recording: its clusters and nodes, nothing known of them yet. */
export function begin(header) {
  const state = empty();
  state.run = header.run;
  state.src = header.src;
  state.ts = header.t0;
  for (const plain of header.topology.clusters) {
    state.clusters[plain.id] = freshCluster(plain);
    for (const node of plain.nodes) state.nodes[node] = freshNode(node, plain.id);
  }
  return state;
}

/** The state after `event`. `state` itself is left as it is. */
export function fold(state, event) {
  return foldAll(state, [event]);
}

/** The state after all of `events`, in order. */
export function foldAll(state, events) {
  const draft = new Draft(state);
  for (const event of events) step(draft, event);
  return draft.state;
}

function freshCluster(plain) {
  return {
    id: plain.id, nodes: [...plain.nodes], first: plain.first, last: plain.last,
    leader: 0, ballot: [0, 0], watermark: 0, elections: 0, election: null,
  };
}

function freshNode(id, cluster) {
  return {
    id, cluster, up: "unknown", role: "", ballot: [0, 0], leader: 0, watermark: 0, applied: 0,
    proposed: 0, checkpoint: 0, lag: 0, queue: 0, in_flight: 0, ts: 0,
  };
}

/** A state being written: parts are copied once, before their first change. */
class Draft {
  constructor(state) {
    this.state = { ...state };
    this.own = new Set();
  }

  #copied(value) {
    const copy = Array.isArray(value) ? value.slice() : { ...value };
    this.own.add(copy);
    return copy;
  }

  /** A top-level map or list that may be written to. */
  part(name) {
    const value = this.state[name];
    if (this.own.has(value)) return value;
    return (this.state[name] = this.#copied(value));
  }

  /** The map under `key` of the part `name`, writable; undefined when there is none. */
  entry(name, key) {
    const value = this.state[name][key];
    if (value === undefined || this.own.has(value)) return value;
    return (this.part(name)[key] = this.#copied(value));
  }

  /** Append to a list, letting its oldest entries go. */
  push(name, value, limit) {
    const items = this.part(name);
    items.push(value);
    if (items.length > limit) items.splice(0, items.length - limit);
  }

  /** Put an event into the feed. */
  note(event) {
    this.push("feed", event, FEED_MAX);
  }
}

function step(draft, event) {
  const state = draft.state;
  state.q = Math.max(state.q, event.q ?? 0);
  state.ts = Math.max(state.ts, event.ts);
  const incarnation = event.inc ?? 0;
  if (incarnation > 0) {
    if (incarnation < state.inc) return;
    if (incarnation > state.inc) enter(draft, incarnation);
  }
  CASES[event.k]?.(draft, event);
}

/** A reset: what was known of the incarnation before holds no more. */
function enter(draft, incarnation) {
  const state = draft.state;
  if (state.inc > 0) {
    state.clusters = mapValues(state.clusters, freshCluster);
    state.nodes = mapValues(state.nodes, (node) => ({ ...freshNode(node.id, node.cluster), up: node.up }));
    state.tx = [];
  }
  state.inc = incarnation;
}

function mapValues(map, change) {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));
}

// --- cases, one per kind; a kind without one changes nothing but q and ts ----------------------------

function onBallot(draft, event) {
  const node = draft.entry("nodes", event.n);
  if (!node) return;
  const ballot = [...event.b];
  if (compareBallots(ballot, node.ballot) >= 0) node.ballot = ballot;
  const cluster = draft.entry("clusters", node.cluster);
  if (!cluster || ballot[1] !== event.n || compareBallots(ballot, cluster.ballot) <= 0) return;
  cluster.election = { n: event.n, b: ballot, ts: event.ts };
  draft.note(event);
}

function onLeader(draft, event) {
  const node = draft.entry("nodes", event.n);
  if (!node) return;
  const ballot = [...event.b];
  node.leader = event.leader;
  if (compareBallots(ballot, node.ballot) >= 0) {
    node.ballot = ballot;
    node.role = event.leader === event.n ? "leader" : "follower";
  }
  if (lead(draft, node.cluster, event.leader, ballot)) draft.note(event);
}

/** Take `leader` for the leader of a cluster unless a later ballot is known; true when new. */
function lead(draft, number, leader, ballot) {
  const cluster = draft.entry("clusters", number);
  if (!cluster || leader === 0 || compareBallots(ballot, cluster.ballot) <= 0) return false;
  if (compareBallots(cluster.ballot, [0, 0]) !== 0) cluster.elections += 1;
  cluster.leader = leader;
  cluster.ballot = ballot;
  if (cluster.election && compareBallots(cluster.election.b, ballot) <= 0) cluster.election = null;
  return true;
}

function onApplied(draft, event) {
  const node = draft.entry("nodes", event.n);
  if (node && event.s > node.applied) node.applied = event.s;
}

function onChosen(draft, event) {
  const node = draft.entry("nodes", event.n);
  if (node && event.s > node.watermark) {
    node.watermark = event.s;
    raiseWatermark(draft, node.cluster, event.s);
  }
}

function raiseWatermark(draft, number, slot) {
  const cluster = draft.state.clusters[number];
  if (cluster && slot > cluster.watermark) draft.entry("clusters", number).watermark = slot;
}

const UP_AFTER = {
  "node.up": "up", "node.recover": "up", "node.fail": "failed", "node.pause": "paused", "node.down": "down",
};
const GONE = new Set(["down", "killed"]);

function onProcess(draft, event) {
  const node = draft.entry("nodes", event.n);
  if (!node) return;
  const up = UP_AFTER[event.k];
  const changed = node.up !== up;
  node.up = up;
  if (GONE.has(up)) Object.assign(node, { role: "", queue: 0, in_flight: 0 });
  if (changed) draft.note(event);
}

function onAgg(draft, event) {
  for (const [link, counts] of Object.entries(event.links ?? {})) {
    draft.part("links")[link] = { m: counts, window: event.window, ts: event.ts };
  }
  for (const [key, status] of Object.entries(event.nodes ?? {})) onStatus(draft, key, status, event.ts);
  if (hasKeys(event.tx) || hasKeys(event.hist)) count(draft, event);
}

function hasKeys(map) {
  return map !== undefined && Object.keys(map).length > 0;
}

function onStatus(draft, key, status, ts) {
  const node = draft.entry("nodes", key);
  if (!node) return;
  for (const name of STATUS_FIELDS) {
    const value = status[name] ?? null;
    if (value !== null) node[name] = name === "ballot" ? [...value] : value;
  }
  // A stopped process sends nothing, so a status that is late must not bring it back: node.up does.
  if ("state" in status && ["unknown", "up", "failed"].includes(node.up)) node.up = status.state;
  if ("role" in status) node.role = GONE.has(node.up) ? "" : status.role;
  node.ts = ts;
  raiseWatermark(draft, node.cluster, node.watermark);
  if (node.role === "leader" && node.up === "up") lead(draft, node.cluster, node.id, node.ballot);
}

function count(draft, event) {
  const start = event.ts - (event.ts % SERIES_US);
  const index = bucketAt(draft, start);
  if (index < 0) return;
  const bucket = draft.entry("series", index);
  for (const name of COUNTS) bucket[name] += event.tx?.[name] ?? 0;
  const hist = { ...bucket.hist };
  for (const [key, value] of Object.entries(event.hist ?? {})) hist[key] = (hist[key] ?? 0) + value;
  bucket.hist = hist;
}

/** Index of the bucket that begins at `start`; -1 when that time is long gone. */
function bucketAt(draft, start) {
  const series = draft.state.series;
  if (series.length === 0 || series[series.length - 1].ts < start) {
    const fresh = { ts: start, committed: 0, aborted: 0, reads: 0, refused: 0, hist: {} };
    draft.push("series", fresh, SERIES_MAX);
    return draft.state.series.length - 1;
  }
  const oldest = Math.max(0, series.length - SERIES_BACK);
  for (let index = series.length - 1; index >= oldest; index -= 1) {
    if (series[index].ts === start) return index;
  }
  return -1;
}

/** The entry of the event's transaction, writable, made when it is new. */
function transaction(draft, event) {
  let index = draft.state.tx.findLastIndex((entry) => entry.id === event.tx);
  if (index < 0) {
    const fresh = {
      id: event.tx, ts: event.ts, from: 0, to: 0, amt: 0, cl: 0, s: 0, b: [0, 0],
      outcome: "", why: "", ms: 0, n: 0, applied: [], q: 0,
    };
    draft.push("tx", fresh, TRANSACTIONS_MAX);
    index = draft.state.tx.length - 1;
  }
  return draft.entry("tx", index);
}

/** Who pays whom how much, from any event that says so. */
function setParties(entry, event) {
  if ("from" in event) Object.assign(entry, { from: event.from, to: event.to, amt: event.amt });
  if ("b" in event) entry.b = [...event.b];
}

function onSubmit(draft, event) {
  const entry = transaction(draft, event);
  setParties(entry, event);
  Object.assign(entry, { ts: event.ts, n: event.n ?? 0, q: event.q ?? 0, cl: clusterOf(draft, event) });
}

function onApply(draft, event) {
  const entry = transaction(draft, event);
  setParties(entry, event);
  entry.s = event.s;
  entry.outcome = event.outcome;
  entry.why = event.why ?? "";
  entry.cl = clusterOf(draft, event);
  if (!entry.applied.includes(event.n) && entry.applied.length < APPLIED_MAX) {
    entry.applied = [...entry.applied, event.n];
  }
  if (entry.q === 0) entry.q = event.q ?? 0;
}

function onReply(draft, event) {
  const entry = transaction(draft, event);
  setParties(entry, event);
  entry.outcome = event.outcome;
  entry.why = event.why ?? "";
  entry.ms = event.ms;
  entry.n = event.n ?? 0;
  entry.q = event.q ?? 0;
  if ("s" in event) entry.s = event.s;
  entry.cl = clusterOf(draft, event) || entry.cl;
}

function clusterOf(draft, event) {
  return event.cl ?? draft.state.nodes[event.n ?? 0]?.cluster ?? 0;
}

function onCut(draft, event) {
  const key = `${event.a}>${event.b}`;
  const cut = { a: event.a, b: event.b, delay: event.delay ?? 0, loss: event.loss ?? 0 };
  const before = draft.state.cuts[key];
  if (before && before.delay === cut.delay && before.loss === cut.loss) return;
  draft.part("cuts")[key] = cut;
  draft.note(event);
}

function onHeal(draft, event) {
  const key = `${event.a}>${event.b}`;
  if (!(key in draft.state.cuts)) return;
  delete draft.part("cuts")[key];
  draft.note(event);
}

function onCheck(draft, event) {
  const before = draft.state.checks[event.name];
  draft.part("checks")[event.name] = { ok: event.ok, detail: event.detail ?? "", ts: event.ts };
  if (!before || before.ok !== event.ok) draft.note(event);
}

function onGap(draft, event) {
  draft.state.lost += Math.max(0, event.to - event.from + 1);
  draft.note(event);
}

function onNoted(draft, event) {
  draft.note(event);
}

const CASES = {
  "paxos.ballot": onBallot,
  "paxos.leader": onLeader,
  "paxos.chosen": onChosen,
  "paxos.applied": onApplied,
  "node.up": onProcess,
  "node.down": onProcess,
  "node.fail": onProcess,
  "node.recover": onProcess,
  "node.pause": onProcess,
  "link.cut": onCut,
  "link.heal": onHeal,
  "tx.submit": onSubmit,
  "tx.apply": onApply,
  "tx.reply": onReply,
  agg: onAgg,
  check: onCheck,
  ctl: onNoted,
  mark: onNoted,
  gap: onGap,
};
