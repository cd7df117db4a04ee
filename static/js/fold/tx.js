/** What the fold keeps of the last transactions. Twin of consensus/trace/fold_tx.py. */

import { holds } from "./paxos.js";

export const TRANSACTIONS_MAX = 100;
/** Of these, ambient ones: they make room for one another, not for those that somebody sent. */
export const AMBIENT_MAX = 20;
/** Ids of ambient transactions begin so (consensus/types.py, AMBIENT_PREFIX). */
const AMBIENT_HEX = "616d6269";
/** Nodes remembered per transaction as having applied it. */
const APPLIED_MAX = 16;

/** Whether an event's `tx` is one; of `agg` that is a map of counts. */
export const isAmbient = (tx) => typeof tx === "string" && tx.startsWith(AMBIENT_HEX);

/** The entry of the event's transaction, writable, made when it is new. */
function transaction(draft, event) {
  let index = draft.state.tx.findLastIndex((entry) => entry.id === event.tx);
  if (index < 0) {
    if (isAmbient(event.tx)) makeRoom(draft);
    const fresh = {
      id: event.tx, ts: event.ts, from: 0, to: 0, amt: 0, cl: 0, s: 0, b: [0, 0],
      outcome: "", why: "", ms: 0, n: 0, applied: [], q: 0,
    };
    draft.push("tx", fresh, TRANSACTIONS_MAX);
    index = draft.state.tx.length - 1;
  }
  return draft.entry("tx", index);
}

function makeRoom(draft) {
  const places = draft.state.tx.flatMap((entry, index) => (isAmbient(entry.id) ? [index] : []));
  if (places.length >= AMBIENT_MAX) draft.part("tx").splice(places[0], 1);
}

/** Who pays whom how much, from any event that says so. */
function setParties(entry, event) {
  if ("from" in event) Object.assign(entry, { from: event.from, to: event.to, amt: event.amt });
  if ("b" in event) entry.b = [...event.b];
}

export function submit(draft, event) {
  const entry = transaction(draft, event);
  setParties(entry, event);
  Object.assign(entry, { ts: event.ts, n: event.n ?? 0, q: event.q ?? 0, cl: clusterOf(draft, event) });
}

export function apply(draft, event) {
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
  holds(draft, event);
}

export function reply(draft, event) {
  const entry = transaction(draft, event);
  setParties(entry, event);
  entry.outcome = event.outcome;
  entry.why = event.why ?? "";
  entry.ms = event.ms ?? 0;
  entry.n = event.n ?? 0;
  entry.q = event.q ?? 0;
  if ("s" in event) entry.s = event.s;
  entry.cl = clusterOf(draft, event) || entry.cl;
}

function clusterOf(draft, event) {
  return event.cl ?? draft.state.nodes[event.n ?? 0]?.cluster ?? 0;
}
