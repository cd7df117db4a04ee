/**
 * Messages and events of a cluster as a space-time diagram: lanes of replicas, points of time on them, messages between.
 *
 * Pure: what the state has of a cluster (reducer.js) in, points and messages out; nothing of the document. Times are the
 * replicas' own clocks, so between hosts a message may seem to arrive before it was sent.
 */

/** What happens first of what happens at the same time on one replica. */
const RANK = { got: 0, stood: 1, accepted: 1, chosen: 2, applied: 3, leads: 4, sent: 5, lost: 5 };
/** Idle time up to this is drawn as it is; longer idle time takes the logarithm of its length, in milliseconds. */
const PLAIN_MS = 1;
/** Idle time of at least this has its length written into it. */
export const WAIT_MS = 1.5;

/**
 * @param {{slots: object[], views: object[], messages: object[], elections: object[]}} group
 * @param {number[]} nodes lanes, in order
 * @param {{slot?: number, ballot?: number[], most?: number}} wanted one slot, one election, or else the last `most` messages
 */
export function spaceTime(group, nodes, wanted) {
  const messages = chosenMessages(group, wanted).filter(({ n, to }) => nodes.includes(n) && nodes.includes(to));
  const points = [];
  const add = (node, ts, what, label, message = -1) => {
    if (ts > 0 && nodes.includes(node)) points.push({ node, ts, what, label, message });
  };
  messages.forEach((message, index) => {
    add(message.n, message.sent, message.lost ? "lost" : "sent", message.m, index);
    add(message.to, message.got, "got", message.m, index);
  });
  for (const { node, ts, what, label } of localEvents(group, wanted, messages)) add(node, ts, what, label);
  points.sort((a, b) => a.ts - b.ts || RANK[a.what] - RANK[b.what] || a.node - b.node);
  const ends = messages.map(() => ({ start: -1, end: -1 }));
  points.forEach((point, index) => {
    if (point.message >= 0) ends[point.message][point.what === "got" ? "end" : "start"] = index;
  });
  return { nodes, points, messages: messages.map((message, index) => ({ ...message, ...ends[index] })) };
}

function chosenMessages({ messages, elections, slots }, { slot, ballot, most = 30 }) {
  if (slot !== undefined) return messagesOfSlot(messages, slots.find(({ s }) => s === slot) ?? { s: slot, at: {} });
  if (ballot) return elections.filter((message) => sameBallot(message.b, ballot));
  const first = ({ sent, got }) => sent || got;
  return [...elections, ...messages].sort((a, b) => first(a) - first(b)).slice(-most);
}

export const sameBallot = (a, b) => a[0] === b[0] && a[1] === b[1];

/** Accept and Accepted of a slot, and for each replica what told it first that the slot is chosen. */
function messagesOfSlot(messages, { s: slot, at }) {
  const told = new Map();
  for (const message of messages) {
    const first = told.get(message.to);
    if (tells(message, slot, at[message.to]) && (!first || message.got < first.got)) told.set(message.to, message);
  }
  const tellers = new Set(told.values());
  return messages.filter((message) =>
    tellers.has(message) || (message.s === slot && (message.m === "accept" || message.m === "accepted")));
}

/** Whether a message may be how its receiver heard that a slot is chosen: it came before the receiver knew. */
function tells(message, slot, cell) {
  const isCommit = message.m === "commit" || message.m === "heartbeat";
  if (message.got === 0) return isCommit && message.s === slot;
  return (message.w ?? (isCommit ? message.s : 0)) >= slot && (cell?.chosen ?? 0) >= message.got;
}

/** What happened on the replicas themselves: of the slot, of the election, or while the messages were under way. */
function localEvents({ slots, views }, { slot, ballot }, messages) {
  const found = [];
  const from = Math.min(...messages.flatMap(({ sent, got }) => [sent, got]).filter((ts) => ts > 0));
  const inView = (ts) => slot !== undefined || ballot || ts >= from;
  for (const { s, at } of ballot ? [] : slots) {
    if (slot !== undefined && s !== slot) continue;
    for (const [node, cell] of Object.entries(at)) {
      for (const what of ["accepted", "chosen", "applied"]) {
        if (inView(cell[what])) found.push({ node: Number(node), ts: cell[what], what, label: `slot ${s}` });
      }
    }
  }
  for (const view of slot === undefined ? views : []) {
    if (ballot && !sameBallot(view.b, ballot)) continue;
    const label = `(${view.b})`;
    if (view.why && inView(view.ts)) found.push({ node: view.n, ts: view.ts, what: "stood", label });
    if (inView(view.led)) found.push({ node: view.n, ts: view.led, what: "leads", label });
  }
  return found;
}

// --- what led to what ----------------------------------------------------------------------------------

/**
 * Points before and after a message by cause (Lamport, Time, Clocks, 1978): earlier on the same replica, or sent before
 * it was received.
 * @returns {{past: Set<number>, future: Set<number>}} indices of points: what led to its sending, what its arrival led
 *   to, both with the end of the message itself
 */
export function cone(diagram, message) {
  const { start, end } = diagram.messages[message];
  return {
    past: reach([start < 0 ? end : start], backward(diagram)),
    future: reach([end], forward(diagram)),
  };
}

function reach(starts, next) {
  const seen = new Set(starts.filter((index) => index >= 0));
  const waiting = [...seen];
  while (waiting.length > 0) {
    for (const index of next[waiting.pop()]) {
      if (seen.has(index)) continue;
      seen.add(index);
      waiting.push(index);
    }
  }
  return seen;
}

/** For each point those that led to it at once. */
function backward({ points, messages }) {
  const last = new Map();
  return points.map((point, index) => {
    const causes = last.has(point.node) ? [last.get(point.node)] : [];
    last.set(point.node, index);
    const sent = point.what === "got" ? messages[point.message].start : -1;
    return sent >= 0 ? [...causes, sent] : causes;
  });
}

function forward(diagram) {
  const after = diagram.points.map(() => []);
  backward(diagram).forEach((causes, index) => causes.forEach((cause) => after[cause].push(index)));
  return after;
}

/** A message lies in a cone with both of its ends, as far as it has two. */
export function isIn(cone, { start, end }) {
  const ends = [start, end].filter((index) => index >= 0);
  return ends.length > 0 && ends.every((index) => cone.has(index));
}

// --- time ------------------------------------------------------------------------------------------------

/**
 * Where times stand on an axis from 0 to 1 that is not the less clear for long waits.
 * @param {number[]} times microseconds, in order
 * @returns {{at: (ts: number) => number, waits: {from: number, to: number, ms: number}[], ms: number}}
 *   `waits`: places between which nothing happened for `ms`
 */
export function axis(times) {
  const stops = [...new Set(times)].sort((a, b) => a - b);
  const sums = [0];
  for (let index = 1; index < stops.length; index += 1) {
    const ms = (stops[index] - stops[index - 1]) / 1000;
    sums.push(sums[index - 1] + (ms <= PLAIN_MS ? ms : PLAIN_MS + Math.log2(ms / PLAIN_MS)));
  }
  const whole = sums.at(-1) || 1;
  const at = (ts) => {
    let index = stops.findLastIndex((stop) => stop <= ts);
    if (index < 0) return 0;
    if (index === stops.length - 1) index -= 1;
    if (index < 0) return 0.5;
    const share = Math.min(1, (ts - stops[index]) / (stops[index + 1] - stops[index]));
    return (sums[index] + share * (sums[index + 1] - sums[index])) / whole;
  };
  const waits = [];
  for (let index = 1; index < stops.length; index += 1) {
    const ms = (stops[index] - stops[index - 1]) / 1000;
    if (ms >= WAIT_MS) waits.push({ from: sums[index - 1] / whole, to: sums[index] / whole, ms });
  }
  return { at, waits, ms: stops.length ? (stops.at(-1) - stops[0]) / 1000 : 0 };
}

/**
 * The newest slot that every replica which is up has applied, so that all of its messages are there; failing that the
 * newest with messages, or of which anything is known; 0 for none.
 */
export function newestWhole(group, nodes) {
  const up = nodes.filter((node) => node.up === "up").map((node) => node.id);
  const told = new Set(group.messages.map(({ s }) => s));
  const whole = ({ s, at }) => told.has(s) && up.length > 0 && up.every((node) => at[node]?.applied);
  const found = group.slots.findLast(whole) ?? group.slots.findLast(({ s }) => told.has(s)) ?? group.slots.at(-1);
  return found?.s ?? 0;
}
