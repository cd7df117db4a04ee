import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { narrator } from "../../static/js/narrate.js";
import { ticks, waterfall } from "../../static/js/waterfall.js";

const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
/** What nine workers told of one transfer from cluster 1 to cluster 2. */
const { clusters, steps } = read("../data/cross-transfer.json");
const narrate = narrator(read("../../static/js/sentences.json"));
const chart = waterfall(steps, clusters);
const barsOf = (node, from = chart) =>
  Object.fromEntries(from.bars.filter((bar) => from.lanes[bar.lane].node === node).map((bar) => [bar.phase, bar]));

test("lanes: the client, then the coordinator's cluster and the other, the speaking node first", () => {
  assert.deepEqual(chart.lanes.map((lane) => lane.node), ["client", 1, 2, 3, 4, 5, 6]);
  assert.deepEqual(chart.lanes.map((lane) => lane.role),
    ["client", "coordinator", "replica", "replica", "participant", "replica", "replica"]);
});

test("phases follow each other without a gap, at both leaders", () => {
  const first = barsOf(1);
  assert.equal(first.prepare.from, 0);
  assert.equal(first.prepare.to, first.votes.from);
  assert.equal(first.votes.to, first.acks.from);
  const second = barsOf(4);
  assert.equal(second.prepare.to, second.doubt.from);
  assert.equal(second.doubt.to, second.decide.from);
  assert.ok(second.prepare.from > first.prepare.from);
  assert.ok(second.decide.from >= first.votes.to, "nobody hears a decision before it is made");
});

test("locks are held on every node from its prepare to its decision", () => {
  for (const node of [1, 2, 3, 4, 5, 6]) {
    const { locks } = barsOf(node);
    assert.ok(locks.to > locks.from, `n${node}`);
  }
  assert.deepEqual(chart.missing, []);
});

test("messages run between the lanes of their ends, the client's own included", () => {
  const ways = chart.arrows.map((arrow) => [arrow.m, chart.lanes[arrow.from].node, chart.lanes[arrow.to].node]);
  assert.deepEqual(ways, [
    ["submit", "client", 1], ["tx.prepare", 1, 4], ["tx.vote", 4, 1], ["reply", 1, "client"],
    ["tx.decision", 1, 4], ["tx.ack", 4, 1],
  ]);
  for (const arrow of chart.arrows) assert.ok(arrow.got >= arrow.sent);
});

test("every row of the table has its time, its place and a sentence; a message stands there once", () => {
  assert.equal(chart.rows.length, steps.length - 4);
  let before = 0;
  for (const row of chart.rows) {
    assert.ok(row.at >= before);
    before = row.at;
    assert.ok(row.node >= 1 && narrate(row.event), row.event.k);
  }
  const heard = chart.rows.find((row) => row.event.m === "tx.prepare");
  assert.deepEqual([heard.node, narrate(heard.event)], [4, "n4 received a prepare from n1"]);
});

test("a transfer inside one cluster is ordered, without votes", () => {
  const at = (k, n, ts, fields = {}) => ({ k, n, ts, tx: "a-1", ...fields });
  const inside = waterfall([
    at("tx.submit", 2, 1_000, { from: 1, to: 2, amt: 3 }),
    at("tx.apply", 2, 3_000, { s: 7, outcome: "committed" }),
    at("tx.reply", 2, 3_100, { outcome: "committed", ms: 2.1 }),
    at("tx.apply", 1, 4_000, { s: 7, outcome: "committed" }),
  ], [{ id: 1, nodes: [1, 2, 3] }]);
  assert.deepEqual(inside.lanes.map((lane) => lane.node), ["client", 2, 1, 3]);
  assert.deepEqual(barsOf(2, inside), { order: { lane: 1, phase: "order", from: 0, to: 2 } });
  assert.deepEqual(inside.marks.map((mark) => [mark.mark, mark.lane]), [["submit", 0], ["apply", 1], ["reply", 0], ["apply", 2]]);
  assert.deepEqual([inside.span, inside.outcome, inside.missing], [3, "committed", [3]]);
});

test("a refusal and an abort are marked; what is missing leaves no bar", () => {
  const at = (k, n, ts, fields = {}) => ({ k, n, ts, tx: "a-1", ...fields });
  const refused = waterfall([
    at("tx.submit", 1, 0, { from: 1, to: 9, amt: 3 }),
    at("msg.recv", 1, 500, { to: 4, m: "tx.prepare", mid: "x" }),
    at("tx.vote", 4, 900, { yes: false, why: "lock_timeout" }),
    at("tx.decide", 1, 2_000, { s: 3, outcome: "aborted" }),
  ], clusters);
  assert.deepEqual(refused.marks.filter((mark) => mark.no).map((mark) => mark.mark), ["vote", "decide"]);
  assert.deepEqual(Object.keys(barsOf(4, refused)), ["prepare"]);
  assert.deepEqual(barsOf(1, refused), {});
  assert.deepEqual(refused.arrows.map((arrow) => arrow.m), ["submit"], "an arrow needs both ends");
});

test("nothing known gives an empty picture of the lanes", () => {
  const none = waterfall([], clusters);
  assert.equal(none.lanes.length, 7);
  assert.deepEqual([none.bars, none.marks, none.arrows, none.rows], [[], [], [], []]);
  assert.ok(none.span > 0);
});

test("axes have round steps", () => {
  assert.deepEqual(ticks(33.5, 8), [0, 5, 10, 15, 20, 25, 30]);
  assert.deepEqual(ticks(3, 2), [0, 2]);
  assert.deepEqual(ticks(0.9, 4), [0, 0.5]);
});
