/**
 * Chains of causes, from what is to what led there. Pure functions of the state on view and of events that are
 * remembered; each link is an event (of the trace, or put together from the state) that the narrator tells.
 *
 * A chain is `{title, links: [{event} | {words, ts}]}`; it ends where nothing more is remembered.
 */

import { ballot, count } from "./format.js";
import { compareBallots } from "./fold/ballots.js";

/** What people did is looked for so long before what came of it. */
const BEFORE_US = 15_000_000;
const GONE = { "node.fail": "failed", "node.down": "down", "node.pause": "paused" };
const BACK = new Set(["node.up", "node.recover"]);
const ORDERS = {
  "node.fail": ["fail"], "node.down": ["kill", "restart"], "node.pause": ["pause"], "node.recover": ["recover", "heal"],
  "node.up": ["restart", "resume", "heal"],
};

const last = (feed, fits) => feed.findLast(fits) ?? null;

/** Why a node stands as it does: it leads, follows, stands for election, or is not there. */
export function whyNode(view, id) {
  const node = view.nodes[id];
  if (!node) return null;
  if (node.up !== "up" && node.up !== "unknown") {
    return { title: `Why is n${id} ${node.up}?`, links: whyGone(view, id, view.ts) };
  }
  const cluster = view.clusters[node.cluster];
  const leads = cluster.leader === id;
  if (leads) return { title: `Why does n${id} lead cluster ${node.cluster}?`, links: whyLeads(view, node.cluster) };
  const links = [];
  if (cluster.leader) {
    links.push(words(node.ts, `n${id} follows n${cluster.leader}, whose ballot ${ballot(cluster.ballot)} is the highest it knows`));
    links.push(...whyLeads(view, node.cluster));
  } else {
    links.push(words(node.ts, `n${id} follows nobody: no node leads cluster ${node.cluster}`));
    if (cluster.election) links.push(...whyStood(view, node.cluster, cluster.election.b));
  }
  const back = last(view.feed, (event) => event.n === id && BACK.has(event.k));
  if (back) links.push({ event: back }, ...order(view, back));
  return { title: `Why does n${id} not lead?`, links };
}

/** How the leader of a cluster came to lead: its election, then why there was one. */
export function whyLeads(view, cluster) {
  const known = view.clusters[cluster];
  const found = viewOf(view, cluster, known.ballot);
  if (!found) {
    const { leader, ballot: b } = known;
    return [
      { event: { k: "paxos.leader", n: leader, cl: Number(cluster), b, leader, w: 0, ts: view.ts } },
      words(view.ts, "its election is older than what is remembered here"),
    ];
  }
  const led = {
    k: "paxos.leader", n: found.n, cl: Number(cluster), b: found.b, leader: found.n, w: found.w, ts: found.led,
    quorum: found.quorum, again: found.again,
  };
  return [...(found.led ? [{ event: led }] : []), ...whyStood(view, cluster, found.b)];
}

/** Why a node stood for election: whom it did not hear, and why that was silent. */
export function whyStood(view, cluster, b) {
  const found = viewOf(view, cluster, b);
  if (!found) return [];
  const stood = { k: "paxos.ballot", n: found.n, b: found.b, ts: found.ts, q: found.q };
  for (const name of ["why", "since_ms", "silent"]) if (found[name]) stood[name] = found[name];
  const links = [{ event: stood }];
  if (found.silent) links.push(...whyGone(view, found.silent, found.ts, cluster));
  return links;
}

const viewOf = (view, cluster, b) =>
  view.paxos?.[cluster]?.views.find((one) => compareBallots(one.b, b) === 0) ?? null;

/** Why a node was not heard at a time: it was gone, or a link was cut; and who did that. */
function whyGone(view, id, ts) {
  const gone = last(view.feed, (event) => event.n === id && event.ts <= ts && (event.k in GONE || BACK.has(event.k)));
  if (gone && gone.k in GONE) return [{ event: gone }, ...order(view, gone)];
  const cut = last(view.feed, (event) => event.k === "link.cut" && event.a === id && event.ts <= ts && ts - event.ts < BEFORE_US);
  if (cut) return [{ event: cut }, ...order(view, cut)];
  // A process that ends tells nobody; its connection's end is heard a little later than its silence.
  const after = view.feed.find((event) => event.n === id && event.k in GONE && event.ts > ts && event.ts - ts < 2_000_000);
  return after ? [{ event: after }, ...order(view, after)] : [];
}

/** What people asked for, just before. */
function order(view, effect) {
  const asked = last(view.feed, (event) => {
    if (event.k !== "ctl" || event.ts > effect.ts + 2_000_000 || effect.ts - event.ts > BEFORE_US) return false;
    if (effect.k === "link.cut") return event.cmd === "link";
    return ORDERS[effect.k]?.includes(event.cmd) && (event.args?.node === effect.n || event.cmd === "heal");
  });
  return asked ? [{ event: asked }] : [];
}

/** Why a slot holds what it holds, and how far it is. */
export function whySlot(view, cluster, number) {
  const slot = view.paxos?.[cluster]?.slots.find(({ s }) => s === number);
  const title = `Why is slot ${count(number)} of cluster ${cluster} as it is?`;
  if (!slot) return { title, links: [words(view.ts, "What is remembered here does not reach back to it")] };
  const members = view.clusters[cluster].nodes;
  const at = (name) => members.filter((node) => slot.at[node]?.[name]);
  const names = (nodes) => nodes.map((node) => `n${node}`).join(", ");
  const links = [];
  const applied = at("applied");
  if (applied.length) links.push(words(slot.ts, `${names(applied)} applied it, after all slots before it`));
  const accepted = at("accepted");
  const most = Math.floor(members.length / 2) + 1;
  if (accepted.length >= most) {
    links.push(words(slot.ts, `Chosen in ballot ${ballot(slot.b)}: ${names(accepted)} accepted it, ${count(accepted.length)} of ${count(members.length)} and so a majority`));
  } else if (at("chosen").length) {
    links.push(words(slot.ts, `Chosen: ${names(at("chosen"))} know it from the leader`));
  } else {
    links.push(words(slot.ts, `Not chosen yet: ${accepted.length ? names(accepted) : "nobody"} accepted it, ${count(most)} are needed`));
  }
  const group = view.paxos[cluster];
  const again = group.views.findLast((one) => one.again.includes(number));
  links.push(words(slot.ts, again
    ? `n${again.n} proposed it again in ballot ${ballot(again.b)}, because a promise carried it: it may have been chosen before`
    : `n${slot.b[1]} proposed it: it led with ballot ${ballot(slot.b)}`));
  const found = viewOf(view, cluster, slot.b);
  if (found) links.push(...whyStood(view, cluster, slot.b));
  return { title, links };
}

/**
 * Why a transaction ended as it did: its last steps that are remembered, latest first.
 * @param {object[]} recent events, oldest first
 */
export function whyTransaction(view, id, recent) {
  const entry = view.tx.find((one) => one.id === id);
  const steps = recent.filter((event) => event.tx === id && !event.k.startsWith("msg."));
  const seen = new Set();
  const links = [];
  for (const event of steps.toReversed()) {
    // Each replica applies and locks; one of them is enough here.
    const key = ["tx.apply", "tx.lock"].includes(event.k) ? `${event.k} ${event.cl}` : `${event.k} ${event.n}`;
    if (seen.has(key)) continue;
    seen.add(key);
    links.push({ event });
  }
  if (!links.length && entry) links.push({ event: { ...entry, k: "tx.reply", tx: id } });
  if (!links.length) links.push(words(view.ts, "What is remembered here does not reach back to it"));
  const how = entry?.outcome === "aborted" ? "abort" : entry?.outcome === "committed" ? "commit" : "go on";
  return { title: entry?.outcome ? `Why did the transaction ${how}?` : "Where is the transaction?", links };
}

/**
 * Why accounts of a node are locked, from what its REST document tells.
 * @param {{locks: {account: number, tx: string, coordinator: number}[]}} told
 */
export function lockWords(view, told) {
  return told.locks.map((lock) => {
    const { leader } = view.clusters[lock.coordinator] ?? {};
    const who = leader ? `, which n${leader} leads` : ", which nobody leads: until it has a leader nobody can decide";
    return {
      tx: lock.tx,
      words: `Account ${lock.account} is locked: its transaction is prepared here, and the decision of cluster ${lock.coordinator}${who}, has not come`,
    };
  });
}

const words = (ts, said) => ({ ts, words: said });
