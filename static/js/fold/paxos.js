/**
 * What the fold keeps of each cluster's consensus: slots, ballots, messages, pace. Twin of
 * consensus/trace/fold_paxos.py, where the shape of `state.paxos` is described.
 */

import { compareBallots } from "./ballots.js";

export const SLOTS_MAX = 48;
const SLOT_TX_MAX = 8;
export const VIEWS_MAX = 20;
/** Of slots; and as many of elections, which are rare and looked at later. */
export const MESSAGES_MAX = 160;
const MESSAGES_BACK = 80;
export const PACE_MAX = 48;
/** Width of a bucket of `pace`, in microseconds. */
export const PACE_US = 250_000;

const ELECTION = new Set(["prevote", "prepare", "promise", "newview", "nack"]);
const OF_SLOTS = new Set(["accept", "accepted", "commit", "heartbeat"]);
const MORE = ["w", "again", "first", "last", "granted"];

/** Nothing known of a cluster. */
export const fresh = () => ({ slots: [], views: [], messages: [], elections: [], pace: [] });

/** What is kept of the cluster of a node, writable; undefined for a node that nobody knows. */
function groupOf(draft, node) {
  const known = draft.state.nodes[node];
  if (!known) return undefined;
  if (!(known.cluster in draft.state.paxos)) draft.part("paxos")[known.cluster] = fresh();
  return draft.entry("paxos", known.cluster);
}

/**
 * The entry of an ordered list that stands at the event's place, writable, made when it is new; undefined when that
 * is long gone.
 */
function placed(draft, list, order, make, limit) {
  let index = list.length;
  while (index > 0 && order(list[index - 1]) > 0) index -= 1;
  if (index > 0 && order(list[index - 1]) === 0) return draft.own(list, index - 1);
  if (index === 0 && list.length >= limit) return undefined;
  list.splice(index, 0, make());
  if (list.length > limit) {
    list.shift();
    index -= 1;
  }
  return draft.own(list, index);
}

// --- slots ------------------------------------------------------------------------------------------

function slotOf(draft, group, event) {
  const make = () => ({ s: event.s, b: [0, 0], ts: event.ts, has: [], count: 0, tx: [], at: {} });
  return placed(draft, draft.own(group, "slots"), (entry) => entry.s - event.s, make, SLOTS_MAX);
}

function cellOf(draft, entry, node) {
  const at = draft.own(entry, "at");
  at[node] ??= { b: [0, 0], accepted: 0, chosen: 0, applied: 0 };
  return draft.own(at, node);
}

export function accepted(draft, event) {
  const group = groupOf(draft, event.n);
  const entry = group && slotOf(draft, group, event);
  if (!entry) return;
  const cell = cellOf(draft, entry, event.n);
  if (cell.accepted === 0 || compareBallots(event.b, cell.b) > 0) {
    cell.b = [...event.b];
    cell.accepted = event.ts;
  }
  if (compareBallots(event.b, entry.b) > 0) entry.b = [...event.b];
}

/** `node` has every slot up to `slot` as `field`: chosen or applied. */
export function reached(draft, node, slot, field, ts) {
  const group = groupOf(draft, node);
  if (!group) return;
  let { slots } = group;
  for (let index = slots.length - 1; index >= 0; index -= 1) {
    if (slots[index].s > slot) continue;
    if (slots[index].at[node]?.[field]) return;
    slots = draft.own(group, "slots");
    const cell = cellOf(draft, draft.own(slots, index), node);
    cell[field] = ts;
    cell.chosen ||= ts;
  }
}

export function applied(draft, event) {
  const group = groupOf(draft, event.n);
  const entry = group && slotOf(draft, group, event);
  if (entry && event.has) Object.assign(entry, { has: [...event.has], count: event.count ?? 0 });
  reached(draft, event.n, event.s, "applied", event.ts);
}

/** A transaction is in a slot. */
export function holds(draft, event) {
  const group = "s" in event ? groupOf(draft, event.n ?? 0) : undefined;
  const entry = group && slotOf(draft, group, event);
  if (entry && !entry.tx.includes(event.tx) && entry.tx.length < SLOT_TX_MAX) entry.tx = [...entry.tx, event.tx];
}

// --- ballots ----------------------------------------------------------------------------------------

function viewOf(draft, event) {
  const group = groupOf(draft, event.n);
  if (!group) return undefined;
  const make = () => ({
    b: [...event.b], n: event.b[1], ts: event.ts, q: event.q ?? 0, why: "", since_ms: 0,
    silent: 0, promised: [], led: 0, w: 0, quorum: [], again: [],
  });
  return placed(draft, draft.own(group, "views"), (view) => compareBallots(view.b, event.b), make, VIEWS_MAX);
}

/** Somebody stands, or promises. */
export function ballot(draft, event) {
  const view = viewOf(draft, event);
  if (!view) return;
  if (event.n === view.n) {
    Object.assign(view, {
      ts: event.ts, why: event.why ?? "", since_ms: event.since_ms ?? 0, silent: event.silent ?? 0, q: event.q ?? 0,
    });
  }
  if (!view.promised.includes(event.n)) view.promised = [...view.promised, event.n];
}

/** The node of a ballot leads. */
export function leader(draft, event) {
  const view = event.leader === event.b[1] ? viewOf(draft, event) : undefined;
  if (!view) return;
  if (event.n === view.n) {
    Object.assign(view, {
      led: event.ts, w: event.w, quorum: [...(event.quorum ?? [])], again: [...(event.again ?? [])],
    });
  }
  view.led ||= event.ts;
}

// --- messages ---------------------------------------------------------------------------------------

/** A message between nodes of a cluster, about slots or an election, left, came or was lost. */
export function message(draft, event) {
  const isElection = ELECTION.has(event.m);
  if (!isElection && !("s" in event && OF_SLOTS.has(event.m))) return;
  const group = groupOf(draft, event.n);
  if (!group) return;
  const messages = draft.own(group, isElection ? "elections" : "messages");
  let index = find(messages, event.mid);
  if (index < 0) {
    const more = Object.fromEntries(MORE.filter((name) => name in event).map((name) => [name, event[name]]));
    messages.push({
      mid: event.mid, m: event.m, n: event.n, to: event.to, s: event.s ?? 0,
      b: [...(event.b ?? [0, 0])], sent: 0, got: 0, lost: "", ...more,
    });
    if (messages.length > MESSAGES_MAX) messages.shift();
    index = messages.length - 1;
  }
  const entry = draft.own(messages, index);
  entry[event.k === "msg.recv" ? "got" : "sent"] = event.ts;
  if (event.k === "msg.drop") entry.lost = event.why ?? "lost";
}

function find(messages, mid) {
  const last = Math.max(0, messages.length - MESSAGES_BACK);
  for (let index = messages.length - 1; mid !== "" && index >= last; index -= 1) {
    if (messages[index].mid === mid) return index;
  }
  return -1;
}

// --- pace -------------------------------------------------------------------------------------------

/** A node said how far it is. */
export function status(draft, node, ts) {
  const group = groupOf(draft, node.id);
  if (!group) return;
  reached(draft, node.id, node.applied, "applied", ts);
  reached(draft, node.id, node.watermark, "chosen", ts);
  const start = ts - (ts % PACE_US);
  const pace = draft.own(group, "pace");
  if (pace.length === 0 || pace.at(-1).ts < start) {
    pace.push({ ts: start, at: {} });
    if (pace.length > PACE_MAX) pace.shift();
  }
  if (pace.at(-1).ts !== start) return;
  draft.own(draft.own(pace, pace.length - 1), "at")[node.id] = [node.watermark, node.applied];
}
