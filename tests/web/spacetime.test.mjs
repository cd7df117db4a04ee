import assert from "node:assert/strict";
import { test } from "node:test";

import { begin, foldAll } from "../../static/js/reducer.js";
import { axis, cone, isIn, newestWhole, spaceTime } from "../../static/js/spacetime.js";
import { load } from "./fixtures.mjs";

const { header, events } = load("consensus");
const NODES = [1, 2, 3];
const until = (q) => foldAll(begin(header), events.filter((event) => event.q <= q)).paxos[1];
const last = (wanted) => events.findLast((event) => Object.entries(wanted).every(([name, value]) => event[name] === value)).q;
const afterSlot2 = until(last({ k: "paxos.applied", s: 2 }));
const afterElection = until(last({ k: "paxos.applied", s: 3, n: 3 }));
const short = ({ m, n, to }) => `${m} ${n}>${to}`;

test("a slot has its Accepts, its Accepteds and what told each replica first that it is chosen", () => {
  const { messages, points, nodes } = spaceTime(afterSlot2, NODES, { slot: 1 });
  assert.deepEqual(nodes, NODES);
  assert.deepEqual(messages.map(short), [
    "accept 1>2", "accepted 2>1", "accept 1>3", "accepted 3>1", "commit 1>2", "commit 1>3",
  ]);
  assert.deepEqual(points.filter(({ message }) => message < 0).map(({ what, node }) => `${what} ${node}`), [
    "accepted 1", "accepted 2", "accepted 3", "chosen 1", "applied 1", "chosen 2", "applied 2", "chosen 3", "applied 3",
  ]);
});

test("points are in the order of time, and messages know theirs", () => {
  const { messages, points } = spaceTime(afterSlot2, NODES, { slot: 2 });
  assert.ok(points.every((point, index) => index === 0 || points[index - 1].ts <= point.ts));
  for (const message of messages) {
    assert.equal(points[message.start].ts, message.sent);
    assert.equal(points[message.end].ts, message.got);
    assert.deepEqual([points[message.start].node, points[message.end].node], [message.n, message.to]);
  }
});

test("an Accept of the next slot may be what tells that a slot is chosen; one that came later is not", () => {
  const at = (accepted, chosen) => ({ b: [1, 1], accepted, chosen, applied: chosen });
  const message = (mid, m, s, w, sent, got) => ({ mid, m, n: 1, to: 2, s, w, b: [1, 1], sent, got, lost: "" });
  const group = {
    slots: [{ s: 4, b: [1, 1], ts: 10, at: { 1: at(10, 30), 2: at(20, 51) } }], views: [], elections: [],
    messages: [message("a", "accept", 4, 3, 11, 20), message("b", "accept", 5, 4, 40, 50), message("c", "commit", 5, 5, 60, 70)],
  };
  assert.deepEqual(spaceTime(group, [1, 2], { slot: 4 }).messages.map(({ mid }) => mid), ["a", "b"]);
});

test("an election has its messages, who stood and who leads", () => {
  const { messages, points } = spaceTime(afterElection, NODES, { ballot: [2, 2] });
  assert.deepEqual(messages.map(short), ["prevote 2>3", "prevote 3>2", "prepare 2>3", "promise 3>2", "newview 2>3"]);
  assert.deepEqual(points.filter(({ message }) => message < 0).map(({ what, node }) => `${what} ${node}`), ["stood 2", "leads 2"]);
});

test("a lost message has one end only", () => {
  const { messages, points } = spaceTime(afterElection, NODES, { slot: 3 });
  const lost = messages.find((message) => message.lost);
  assert.equal(short(lost), "accept 1>3");
  assert.deepEqual([points[lost.start].what, lost.end], ["lost", -1]);
});

test("without a wish there are the last messages, elections among them, and what happened meanwhile", () => {
  const { messages, points } = spaceTime(afterElection, NODES, { most: 6 });
  assert.equal(messages.length, 6);
  assert.ok(messages.some(({ m }) => m === "newview"));
  const from = Math.min(...messages.map(({ sent }) => sent));
  assert.ok(points.every(({ ts }) => ts >= from));
});

test("nothing known gives lanes without points", () => {
  const group = { slots: [], views: [], messages: [], elections: [] };
  for (const wanted of [{ slot: 4 }, { ballot: [2, 2] }, {}]) {
    assert.deepEqual(spaceTime(group, NODES, wanted), { nodes: NODES, points: [], messages: [] });
  }
});

test("a cone holds what led to a message and what it led to, and nothing concurrent", () => {
  const diagram = spaceTime(afterSlot2, NODES, { slot: 1 });
  const index = (words) => diagram.messages.findIndex((message) => short(message) === words);
  const accepted = cone(diagram, index("accepted 2>1"));
  const inPast = diagram.messages.filter((message) => isIn(accepted.past, message)).map(short);
  const inFuture = diagram.messages.filter((message) => isIn(accepted.future, message)).map(short);
  assert.deepEqual(inPast, ["accept 1>2"]);
  assert.ok(inFuture.includes("commit 1>3") && inFuture.includes("commit 1>2"));
  assert.ok(!inPast.includes("accept 1>3") && !inFuture.includes("accept 1>2"));
  const what = (points) => [...points].map((point) => `${diagram.points[point].what} ${diagram.points[point].node}`);
  assert.ok(what(accepted.past).includes("accepted 2"));
  assert.ok(what(accepted.future).includes("chosen 1"));
  const commit = cone(diagram, index("commit 1>2"));
  const sibling = diagram.messages[index("commit 1>3")];
  assert.ok(!isIn(commit.past, sibling) && !isIn(commit.future, sibling), "neither led to the other");
  assert.ok(!what(commit.future).includes("applied 3"));
});

test("a lost message led to nothing", () => {
  const diagram = spaceTime(afterElection, NODES, { slot: 3 });
  const lost = diagram.messages.findIndex((message) => message.lost);
  assert.equal(cone(diagram, lost).future.size, 0);
  assert.ok(cone(diagram, lost).past.size > 1);
});

test("the axis keeps order, begins at 0, ends at 1, and makes waits shorter than they were", () => {
  const times = [0, 100, 300, 400_300, 400_400];
  const { at, waits, ms } = axis(times);
  const places = times.map(at);
  assert.deepEqual([places[0], places.at(-1)], [0, 1]);
  assert.ok(places.every((place, index) => index === 0 || place > places[index - 1]));
  assert.deepEqual(waits.map((wait) => wait.ms), [400]);
  assert.ok(at(300) > 0.02, "what happened before the wait can still be told apart");
  assert.ok(at(200_300) > at(300) && at(200_300) < at(400_300));
  assert.equal(ms, 400.4);
});

test("an axis of one moment has it in the middle", () => {
  assert.equal(axis([7]).at(7), 0.5);
  assert.deepEqual(axis([]).waits, []);
});

test("the newest whole slot is applied by every replica that is up, and has its messages", () => {
  const up = NODES.map((id) => ({ id, up: "up" }));
  assert.equal(newestWhole(afterSlot2, up), 2);
  assert.equal(newestWhole(afterElection, [{ id: 1, up: "failed" }, up[1], up[2]]), 3);
  assert.equal(newestWhole(afterElection, up), 2, "n1 has not applied slot 3");
  assert.equal(newestWhole({ ...afterElection, messages: [] }, up), 3, "without messages the newest");
  assert.equal(newestWhole({ slots: [], messages: [] }, up), 0);
});
