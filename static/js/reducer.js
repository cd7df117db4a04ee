/**
 * The state a page shows, as a pure function of trace events. Twin of consensus/trace/fold.py.
 *
 * `fold(begin(header), e1, e2, …)` gives the same JSON value here and on the server, and folding on from
 * any keyframe gives what folding from the start gives (tests/data/traces holds both to it). So: no
 * clock, no rounding, no iteration whose order could differ, and every list bounded.
 *
 * A state is never changed in place: a Draft copies a part of it before the first write to it in a call.
 */

import { compareBallots } from "./fold/ballots.js";
import { Draft } from "./fold/draft.js";
import * as heat from "./fold/heat.js";
import * as moves from "./fold/moves.js";
import * as paxos from "./fold/paxos.js";
import * as tx from "./fold/tx.js";

export const SCHEMA_VERSION = 1;
export const FEED_MAX = 100;
const EXPERIMENTS_MAX = 4;
export const SERIES_MAX = 180;
/** Width of a bucket of `series`, in microseconds. */
export const SERIES_US = 1_000_000;
/** Buckets that a late window may still be added to. */
const SERIES_BACK = 5;
const COUNTS = ["committed", "aborted", "reads", "refused"];
const STATUS_FIELDS = [
  "ballot", "leader", "watermark", "applied", "proposed", "checkpoint", "lag", "queue", "in_flight",
];

/** The state before anything is known. */
export function empty() {
  return {
    v: SCHEMA_VERSION, run: "", src: "", q: 0, ts: 0, inc: 0,
    clusters: {}, nodes: {}, links: {}, cuts: {}, series: [], tx: [], feed: [], checks: {},
    experiments: [], ambient: null, lost: 0,
    paxos: {}, epoch: 0, plans: [], moves: [], owners: {}, heat: [], hg: {},
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
    state.paxos[plain.id] = paxos.fresh();
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
  // A keyframe of an earlier version may lack what is kept today.
  const draft = new Draft("heat" in state ? state : { ...empty(), ...state });
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
    proposed: 0, checkpoint: 0, lag: 0, queue: 0, in_flight: 0, ts: 0, timers: {},
  };
}

/** Put an event into the feed. */
const note = (draft, event) => draft.push("feed", event, FEED_MAX);

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
    Object.assign(state, { tx: [], moves: [], owners: {}, heat: [], epoch: 0 });
    state.paxos = mapValues(state.clusters, paxos.fresh);
  }
  state.inc = incarnation;
}

function mapValues(map, change) {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));
}

// --- cases, one per kind; a kind without one changes nothing but q and ts ----------------------------

function onBallot(draft, event) {
  paxos.ballot(draft, event);
  const node = draft.entry("nodes", event.n);
  if (!node) return;
  const ballot = [...event.b];
  if (compareBallots(ballot, node.ballot) >= 0) node.ballot = ballot;
  const cluster = draft.entry("clusters", node.cluster);
  if (!cluster || ballot[1] !== event.n || compareBallots(ballot, cluster.ballot) < 0) return;
  // Who follows the winner may have told of it first: the candidacy is news all the same.
  if (compareBallots(ballot, cluster.ballot) > 0) cluster.election = { n: event.n, b: ballot, ts: event.ts };
  note(draft, event);
}

function onLeader(draft, event) {
  paxos.leader(draft, event);
  const node = draft.entry("nodes", event.n);
  if (!node) return;
  const ballot = [...event.b];
  node.leader = event.leader;
  if (compareBallots(ballot, node.ballot) >= 0) {
    node.ballot = ballot;
    node.role = event.leader === event.n ? "leader" : "follower";
  }
  if (lead(draft, node.cluster, event.leader, ballot)) note(draft, event);
  else if (event.n === event.leader) noteLeadersOwn(draft, event);
}

/** A leader tells of itself, after its status or a follower did: it knows more, so its words stay. */
function noteLeadersOwn(draft, event) {
  const feed = draft.part("feed");
  const index = feed.findLastIndex((entry) =>
    entry.k === "paxos.leader" && compareBallots(entry.b, event.b) === 0 && entry.inc === event.inc);
  if (index >= 0) feed[index] = { ...event, q: feed[index].q ?? 0 };
  else {
    const cluster = draft.state.clusters[draft.state.nodes[event.n].cluster];
    if (cluster && compareBallots(cluster.ballot, event.b) === 0) note(draft, event);
  }
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
  paxos.applied(draft, event);
}

function onChosen(draft, event) {
  const node = draft.entry("nodes", event.n);
  if (node && event.s > node.watermark) {
    node.watermark = event.s;
    raiseWatermark(draft, node.cluster, event.s);
  }
  paxos.reached(draft, event.n, event.s, "chosen", event.ts);
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
  if (changed) note(draft, event);
}

function onAgg(draft, event) {
  for (const [link, counts] of Object.entries(event.links ?? {})) {
    draft.part("links")[link] = { m: counts, window: event.window, ts: event.ts };
  }
  for (const [key, status] of Object.entries(event.nodes ?? {})) onStatus(draft, key, status, event.ts);
  if (hasKeys(event.tx) || hasKeys(event.hist)) count(draft, event);
  if (hasKeys(event.heat)) heat.used(draft, event);
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
  paxos.status(draft, node, ts);
  raiseWatermark(draft, node.cluster, node.watermark);
  if (node.role === "leader" && node.up === "up") lead(draft, node.cluster, node.id, node.ballot);
}

function count(draft, event) {
  const start = event.ts - (event.ts % SERIES_US);
  const fresh = { ts: start, committed: 0, aborted: 0, reads: 0, refused: 0, hist: {} };
  const bucket = draft.row("series", fresh, SERIES_MAX, SERIES_BACK);
  if (!bucket) return;
  for (const name of COUNTS) bucket[name] += event.tx?.[name] ?? 0;
  const hist = { ...bucket.hist };
  for (const [key, value] of Object.entries(event.hist ?? {})) hist[key] = (hist[key] ?? 0) + value;
  bucket.hist = hist;
}

function onCut(draft, event) {
  const key = `${event.a}>${event.b}`;
  const cut = { a: event.a, b: event.b, delay: event.delay ?? 0, loss: event.loss ?? 0 };
  const before = draft.state.cuts[key];
  if (before && before.delay === cut.delay && before.loss === cut.loss) return;
  draft.part("cuts")[key] = cut;
  note(draft, event);
}

function onHeal(draft, event) {
  const key = `${event.a}>${event.b}`;
  if (!(key in draft.state.cuts)) return;
  delete draft.part("cuts")[key];
  note(draft, event);
}

function onCheck(draft, event) {
  const before = draft.state.checks[event.name];
  draft.part("checks")[event.name] = { ok: event.ok, detail: event.detail ?? "", ts: event.ts };
  if (!before || before.ok !== event.ok) note(draft, event);
}

function onGap(draft, event) {
  draft.state.lost += Math.max(0, event.to - event.from + 1);
  note(draft, event);
}

function onTold(draft, event) {
  moves.migration(draft, event);
  if (moves.whole(event)) note(draft, event);
}

function onExperiment(draft, event) {
  const before = draft.state.experiments ?? []; // a state of an earlier version has none
  let running = before.filter((one) => one.path !== event.path);
  if (event.phase === "begin") {
    const { what, title, path, ts } = event;
    running = [...running, { what, title, path, ts }].slice(-EXPERIMENTS_MAX);
  }
  draft.state.experiments = running;
  note(draft, event);
}

function onAmbient(draft, event) {
  draft.state.ambient = { mode: event.mode, rate: event.rate, why: event.why ?? "" };
}

function onNoted(draft, event) {
  note(draft, event);
}

const CASES = {
  "paxos.ballot": onBallot,
  "paxos.leader": onLeader,
  "paxos.accepted": paxos.accepted,
  "paxos.chosen": onChosen,
  "paxos.applied": onApplied,
  "node.up": onProcess,
  "node.down": onProcess,
  "node.fail": onProcess,
  "node.recover": onProcess,
  "node.pause": onProcess,
  "link.cut": onCut,
  "link.heal": onHeal,
  "msg.send": paxos.message,
  "msg.recv": paxos.message,
  "msg.drop": paxos.message,
  "timer.set": moves.timer,
  "timer.fire": moves.timer,
  "timer.cancel": moves.timer,
  "map.epoch": moves.epoch,
  "map.moved": moves.moved,
  "mig.plan": onTold,
  "mig.start": moves.migration,
  "mig.chunk": moves.migration,
  "mig.flip": moves.migration,
  "mig.done": onTold,
  "mig.abort": onTold,
  "hg.snapshot": moves.partitioner,
  "hg.level": moves.partitioner,
  "hg.moves": moves.partitioner,
  "hg.quality": moves.partitioner,
  "tx.submit": tx.submit,
  "tx.lock": paxos.holds,
  "tx.apply": tx.apply,
  "tx.reply": tx.reply,
  agg: onAgg,
  check: onCheck,
  experiment: onExperiment,
  ambient: onAmbient,
  ctl: onNoted,
  mark: onNoted,
  gap: onGap,
};
