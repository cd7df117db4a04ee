/** What pages ask of a state. Pure functions; nothing here is stored. */

import { ballot } from "./format.js";

const HIST_BASE_US = 100;
const HIST_STEPS = 4;
const SECOND_US = 1_000_000;
/** A link whose last window is older than this is silent. */
const SILENT_US = 1_500_000;
/** Seconds that the figures of now are averaged over. */
const NOW_SECONDS = 5;

/** What a message is for, by its name `m`; anything else but tx.* counts as "repair". */
const CLASS_OF = {
  accept: "accept", accepted: "accepted", heartbeat: "heartbeat",
  prepare: "election", promise: "election", prevote: "election", newview: "election", nack: "election",
};
export const CLASSES = ["accept", "accepted", "repair", "election", "twopc", "heartbeat"];

export const classOf = (name) => CLASS_OF[name] ?? (name.startsWith("tx.") ? "twopc" : "repair");

/** The node that leads a cluster and is there to do it; 0 for none. */
export function leaderOf(state, cluster) {
  const leader = state.clusters[cluster]?.leader ?? 0;
  return state.nodes[leader]?.up === "up" ? leader : 0;
}

/** One word for what a node is now. */
export function stateWord(state, node) {
  if (node.up !== "up") return node.up;
  if (node.id === leaderOf(state, node.cluster)) return "leader";
  // A node that was deposed may not have heard of it yet; the cluster follows another ballot.
  return node.role === "leader" || node.role === "" ? "follower" : node.role;
}

/** The sentence under a cluster's name. */
export function leaderSentence(state, cluster) {
  const leader = leaderOf(state, cluster.id);
  if (isElecting(state, cluster)) {
    return `n${cluster.election.n} stands for election with ballot ${ballot(cluster.election.b)}`;
  }
  if (leader) return `n${leader} leads, ballot ${ballot(cluster.ballot)}`;
  return cluster.leader ? `n${cluster.leader} led and is gone; no new leader yet` : "no leader known";
}

/** Whether a cluster looks for a leader. A candidacy that nothing came of stops counting. */
export function isElecting(state, cluster) {
  return cluster.election !== null && state.ts - cluster.election.ts < 3 * SECOND_US;
}

const FAULT_WORDS = {
  failed: "failed", paused: "paused", down: "down", killed: "killed",
};

/** Sentences for the faults in force. */
export function activeFaults(state) {
  const nodes = Object.values(state.nodes)
    .filter((node) => node.up in FAULT_WORDS)
    .map((node) => `n${node.id} ${FAULT_WORDS[node.up]}`);
  const links = Object.values(state.cuts).map(({ a, b }) => `n${a} → n${b} ${faultOf(state, a, b)}`);
  return [...nodes, ...links];
}

/** What is wrong with the link from one node to another: "cut", "delayed by 200 ms"; "" for nothing. */
export function faultOf(state, a, b) {
  const cut = state.cuts[`${a}>${b}`];
  if (!cut) return "";
  if (cut.loss >= 1 || (!cut.delay && !cut.loss)) return "cut";
  const parts = cut.delay ? [`delayed by ${cut.delay} ms`] : [];
  if (cut.loss) parts.push(`loses ${Number((cut.loss * 100).toFixed(1))} %`);
  return parts.join(", ");
}

/** Actions that make sense for a node now, as the site offers them. */
export function actionsFor(node) {
  switch (node.up) {
    case "up": return ["fail", "kill", "restart", "pause"];
    case "failed": return ["recover", "kill", "restart"];
    case "paused": return ["kill", "restart", "resume"];
    case "down": return ["kill", "restart"];
    case "killed": return ["restart"];
    default: return [];
  }
}

/** Messages per second by link and class: {"1>2": {accept: 12, …}}; silent links are left out. */
export function linkRates(state) {
  const rates = {};
  for (const [key, link] of Object.entries(state.links)) {
    if (state.ts - link.ts > SILENT_US) continue;
    const row = Object.fromEntries(CLASSES.map((name) => [name, 0]));
    for (const [name, messages] of Object.entries(link.m)) {
      row[classOf(name)] += (messages * 1000) / link.window;
    }
    rates[key] = row;
  }
  return rates;
}

/** The latency below which a share of the counted ones lie, in ms; null when none were counted. */
export function percentile(hist, share) {
  const buckets = Object.entries(hist).map(([key, value]) => [Number(key), value]);
  buckets.sort((a, b) => a[0] - b[0]);
  const total = buckets.reduce((sum, [, value]) => sum + value, 0);
  let left = share * total;
  for (const [index, value] of buckets) {
    left -= value;
    if (left <= 1e-9) return (HIST_BASE_US * 2 ** (index / HIST_STEPS)) / 1000;
  }
  return null;
}

/**
 * Seconds of the trace up to the last whole one: what charts draw. A quiet second was counted as zero; one
 * that nobody counted, because no page was open, is null: a gap in the line.
 */
export function chartSeries(state, seconds) {
  const end = Math.floor(state.ts / SECOND_US) - 1;
  const known = new Map(state.series.map((bucket) => [bucket.ts / SECOND_US, bucket]));
  const rows = { time: [], committed: [], aborted: [], p50: [], p99: [] };
  for (let second = end - seconds + 1; second <= end; second += 1) {
    const bucket = known.get(second);
    rows.time.push(second);
    rows.committed.push(bucket ? bucket.committed + bucket.reads : null);
    rows.aborted.push(bucket ? bucket.aborted : null);
    rows.p50.push(bucket ? percentile(bucket.hist, 0.5) : null);
    rows.p99.push(bucket ? percentile(bucket.hist, 0.99) : null);
  }
  return rows;
}

/** The figures of now: averages over the last whole seconds; null for what nobody counted. */
export function figures(state) {
  const end = Math.floor(state.ts / SECOND_US) * SECOND_US;
  const recent = state.series.filter((b) => b.ts < end && b.ts >= end - NOW_SECONDS * SECOND_US);
  const hist = {};
  let committed = 0;
  let aborted = 0;
  for (const bucket of recent) {
    committed += bucket.committed + bucket.reads;
    aborted += bucket.aborted;
    for (const [key, value] of Object.entries(bucket.hist)) hist[key] = (hist[key] ?? 0) + value;
  }
  const messages = Object.values(linkRates(state))
    .reduce((sum, row) => sum + CLASSES.reduce((part, name) => part + row[name], 0), 0);
  return {
    committed: recent.length ? committed / recent.length : null,
    aborted: recent.length ? aborted / recent.length : null,
    p50: percentile(hist, 0.5),
    p99: percentile(hist, 0.99),
    messages,
    elections: Object.values(state.clusters).reduce((sum, cluster) => sum + cluster.elections, 0),
  };
}

/** The cluster that owns an account; undefined when there is no such account. */
export function clusterOf(state, account) {
  return Object.values(state.clusters).find((c) => c.first <= account && account <= c.last);
}

/**
 * How many of the transactions that were answered in a stretch of events are told of one by one: all, or about one of
 * `of`. "none" when nothing was answered in it.
 */
export function sampling(events) {
  const told = new Set();
  let answered = 0;
  for (const event of events) {
    if (event.k === "tx.reply") told.add(event.tx);
    else if (event.k === "agg" && event.tx) answered += (event.tx.committed ?? 0) + (event.tx.aborted ?? 0);
  }
  if (answered === 0 || told.size === 0) return { share: "none", of: 0 };
  const of = Math.round(answered / told.size);
  return of <= 1 ? { share: "all", of: 1 } : { share: "some", of };
}
