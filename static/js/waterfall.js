/**
 * One transaction as a waterfall, from its trace events: lanes of nodes, bars of phases, marks, messages.
 *
 * Pure: times in, times out, in milliseconds since the first event; nothing of the document. Times are the
 * nodes' own clocks, so between hosts a message may seem to arrive before it was sent.
 */

/** What a bar stands for, in the order of the protocol. */
export const PHASES = {
  order: "ordered by Paxos: proposed, accepted by a majority, applied",
  prepare: "prepare: the entry is proposed, accepted by a majority, applied",
  votes: "collect votes, decide through the log",
  doubt: "prepared, waits for the decision",
  decide: "the decision is proposed, accepted by a majority, applied",
  acks: "wait for acknowledgements",
  locks: "holds the locks",
};

/** What stands at a point of time. */
export const MARKS = {
  submit: "asked", lock: "prepared", vote: "votes", decide: "decided", apply: "applied", reply: "answered",
};

export const MESSAGES = { "tx.prepare": "prepare", "tx.vote": "vote", "tx.decision": "decision", "tx.ack": "ack" };

const CLIENT = "client";

/**
 * @param {object[]} steps trace events of one transaction, by time
 * @param {{id: number, nodes: number[]}[]} clusters touched, the coordinating one first
 * @returns {{lanes: object[], bars: object[], marks: object[], arrows: object[], rows: object[], span: number,
 *   missing: number[], outcome: string}} `missing`: nodes that have not told of applying the outcome
 */
export function waterfall(steps, clusters) {
  const events = steps.map((event, order) => ({ ...event, order })).sort((a, b) => a.ts - b.ts || a.order - b.order);
  const start = events[0]?.ts ?? 0;
  const at = (event) => (event.ts - start) / 1000;
  const lanes = lanesOf(events, clusters);
  const laneOf = Object.fromEntries(lanes.map((lane, index) => [lane.node, index]));
  const bars = lanes.flatMap((lane, index) => barsOf(lane, events, at).map((bar) => ({ lane: index, ...bar })));
  return {
    lanes,
    bars,
    marks: marksOf(events, laneOf, at),
    arrows: arrowsOf(events, laneOf, at),
    rows: events.filter(isRow).map((event) => ({ at: at(event), node: placeOf(event), event })),
    span: Math.max(0.001, ...events.map(at)),
    missing: lanes.map((lane) => lane.node).filter((node) => node !== CLIENT && !applied(events, node)),
    outcome: events.findLast((event) => event.outcome)?.outcome ?? "",
  };
}

const applied = (events, node) => events.some((event) => event.k === "tx.apply" && event.n === node);

/** The node at which an event was seen. */
export const placeOf = (event) => (event.k === "msg.recv" ? event.to : event.n);

/** A message stands in the table once, where it arrived; one that never did, where it left. */
function isRow(event, _, events) {
  if (event.k !== "msg.send") return true;
  return !events.some((other) => other.k === "msg.recv" && other.mid === event.mid);
}

/** The client, then each cluster's nodes: the one that speaks for its cluster first, the others behind it. */
function lanesOf(events, clusters) {
  const lanes = [{ node: CLIENT, cluster: 0, role: CLIENT }];
  clusters.forEach((cluster, index) => {
    const role = index === 0 ? "coordinator" : "participant";
    const speaker = speakerOf(events, cluster);
    for (const node of [...cluster.nodes].sort((a, b) => (b === speaker) - (a === speaker) || a - b)) {
      lanes.push({ node, cluster: cluster.id, role: node === speaker ? role : "replica", first: clusters.length === 1 });
    }
  });
  return lanes;
}

/** The node that led: it was asked, decided, answered or voted. A later leader's work counts for more. */
function speakerOf(events, cluster) {
  const telling = new Set(["tx.submit", "tx.vote", "tx.decide", "tx.reply"]);
  return events.findLast((event) => telling.has(event.k) && cluster.nodes.includes(event.n))?.n ?? 0;
}

function barsOf(lane, events, at) {
  if (lane.node === CLIENT) return clientBars(events, at);
  const own = events.filter((event) => placeOf(event) === lane.node);
  const time = (event) => (event ? at(event) : null);
  const firstOf = (kind, message) => time(own.find((event) => event.k === kind && (!message || event.m === message)));
  const lastOf = (kind, message) => time(own.findLast((event) => event.k === kind && (!message || event.m === message)));
  const lock = firstOf("tx.lock");
  const applied = firstOf("tx.apply");
  const found = [];
  const bar = (phase, from, to) => {
    if (from !== null && to !== null && to >= from) found.push({ phase, from, to });
  };
  if (lane.role === "coordinator") {
    const asked = firstOf("tx.submit");
    const decided = firstOf("tx.decide") ?? applied;
    bar(lock === null ? "order" : "prepare", asked, lock ?? applied);
    bar("votes", lock, decided);
    bar("acks", decided, lastOf("msg.recv", "tx.ack"));
  } else if (lane.role === "participant") {
    const heard = firstOf("msg.recv", "tx.decision");
    bar("prepare", firstOf("msg.recv", "tx.prepare"), lock ?? firstOf("tx.vote"));
    bar("doubt", lock, heard ?? applied);
    bar("decide", heard, applied);
  }
  bar("locks", lock, applied);
  return found;
}

function clientBars(events, at) {
  const asked = events.find((event) => event.k === "tx.submit");
  const answered = events.find((event) => event.k === "tx.reply" && event.outcome !== "refused");
  return asked && answered ? [{ phase: "wait", from: at(asked), to: at(answered) }] : [];
}

function marksOf(events, laneOf, at) {
  const seen = new Set();
  const marks = [];
  for (const event of events) {
    const name = event.k.startsWith("tx.") ? event.k.slice(3) : "";
    const key = `${name} ${event.n}`;
    if (!(name in MARKS) || seen.has(key) || laneOf[event.n] === undefined) continue;
    seen.add(key);
    const lane = name === "submit" || name === "reply" ? 0 : laneOf[event.n];
    marks.push({ lane, at: at(event), mark: name, no: event.yes === false || event.outcome === "aborted" });
  }
  return marks;
}

/** Messages that both ends told of, the client's own two included. */
function arrowsOf(events, laneOf, at) {
  const sent = new Map(events.filter((event) => event.k === "msg.send").map((event) => [event.mid, event]));
  const arrows = [];
  for (const event of events) {
    const lane = laneOf[event.n];
    if (event.k === "msg.recv" && sent.has(event.mid)) {
      const from = sent.get(event.mid);
      if (lane === undefined || laneOf[event.to] === undefined) continue;
      arrows.push({ from: lane, to: laneOf[event.to], sent: at(from), got: at(event), m: event.m });
    } else if (event.k === "tx.submit" && lane !== undefined) {
      arrows.push({ from: 0, to: lane, sent: at(event), got: at(event), m: "submit" });
    } else if (event.k === "tx.reply" && lane !== undefined) {
      arrows.push({ from: lane, to: 0, sent: at(event), got: at(event), m: "reply" });
    }
  }
  return arrows;
}

/** Round steps for an axis of `span` milliseconds with at most `most` labels. */
export function ticks(span, most) {
  const rough = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let index = 0; index * step <= span; index += 1) found.push(index * step);
  return found;
}
