import assert from "node:assert/strict";
import { test } from "node:test";

import { PACE_MAX, PACE_US } from "../../static/js/fold/paxos.js";
import { begin, foldAll } from "../../static/js/reducer.js";
import {
  cellInWords, cellOf, contents, contentsInWords, GLYPHS, groupOf, paceStrip, slotGrid, slotRate, STAGES, wantsStrip,
} from "../../static/js/slotgrid.js";
import { load } from "./fixtures.mjs";

const { header, events } = load("consensus");
const at = (q) => foldAll(begin(header), events.filter((event) => event.q <= q));
const first = (wanted) => events.find((event) => Object.entries(wanted).every(([name, value]) => event[name] === value)).q;
const stages = (column) => column.cells.map(({ stage }) => stage);

test("every stage has a glyph of its own", () => {
  assert.equal(new Set(STAGES.map((stage) => GLYPHS[stage])).size, 4);
});

test("a slot goes through its stages, replica by replica", () => {
  const accept = first({ k: "paxos.accepted", s: 1, n: 1 });
  let { columns } = slotGrid(at(accept), 1, 10);
  assert.deepEqual(stages(columns[0]), ["accepted", "promised", "promised"]);
  assert.deepEqual(columns[0].cells[1].b, [1, 1]);
  ({ columns } = slotGrid(at(first({ k: "paxos.chosen", s: 1, n: 1 })), 1, 10));
  assert.deepEqual(stages(columns[0]), ["chosen", "accepted", "accepted"]);
  ({ columns } = slotGrid(at(first({ k: "paxos.applied", s: 1, n: 3 })), 1, 10));
  assert.deepEqual(stages(columns[0]), ["applied", "applied", "applied"]);
});

test("the last column is the slot that comes next: only promised", () => {
  const { columns } = slotGrid(at(first({ k: "paxos.applied", s: 2, n: 3 })), 1, 10);
  const next = columns.at(-1);
  assert.equal(next.next, true);
  assert.equal(next.s, 3);
  assert.deepEqual(stages(next), ["promised", "promised", "promised"]);
  assert.equal(contents(next), "next");
});

test("after an election the slot left behind is in the new ballot where it was accepted again", () => {
  const { columns } = slotGrid(at(first({ k: "paxos.applied", s: 3, n: 3 })), 1, 10);
  const slot = columns.find(({ s }) => s === 3);
  assert.deepEqual(slot.cells.map(({ stage, b }) => [stage, b]), [
    ["accepted", [1, 1]], ["applied", [2, 2]], ["applied", [2, 2]],
  ]);
});

test("columns are bounded, newest last, and say how many slots before them were not recorded", () => {
  const state = at(Infinity);
  const { columns, nodes } = slotGrid(state, 1, 12);
  assert.deepEqual(nodes.map(({ id }) => id), [1, 2, 3]);
  assert.equal(columns.length, 12);
  assert.ok(columns.every((column, index) => index === 0 || column.s > columns[index - 1].s));
  const torn = structuredClone(state);
  torn.paxos[1].slots.splice(-3, 2);
  assert.deepEqual(slotGrid(torn, 1, 4).columns.map(({ missing }) => missing), [0, 0, 2, 0]);
});

test("a replica that took over a state has slots without a ballot", () => {
  const slot = { s: 5, at: {} };
  const node = { id: 3, applied: 7, watermark: 9, ballot: [2, 2] };
  assert.deepEqual(cellOf(slot, node), { stage: "applied", b: null });
  assert.deepEqual(cellOf({ ...slot, s: 8 }, node), { stage: "chosen", b: null });
  assert.deepEqual(cellOf({ ...slot, s: 10 }, node), { stage: "promised", b: [2, 2] });
  assert.deepEqual(cellOf({ ...slot, s: 10 }, { ...node, ballot: [0, 0] }), { stage: "", b: null });
});

test("cells and contents have words", () => {
  const node = { id: 3 };
  assert.equal(cellInWords({ s: 5 }, node, { stage: "chosen", b: [2, 2] }), "Slot 5 on n3: chosen, ballot (2,2)");
  assert.equal(cellInWords({ s: 5 }, node, { stage: "applied", b: null }), "Slot 5 on n3: applied, ballot not told");
  assert.match(cellInWords({ s: 5 }, node, { stage: "promised", b: [2, 2] }), /has promised ballot \(2,2\)/);
  assert.match(cellInWords({ s: 5 }, node, { stage: "", b: null }), /nothing is known/);
  assert.equal(contentsInWords({ has: ["transfer", "decision"], count: 2 }), "transfer, decision; 2 transactions");
  assert.equal(contentsInWords({ has: ["transfer"], count: 1 }), "transfer; 1 transaction");
  assert.deepEqual(
    [{ has: ["new view"], count: 0 }, { has: ["no-op"], count: 0 }, { has: [], count: 0 }, { has: ["transfer"], count: 3 }].map(contents),
    ["NV", "·", "", "3"],
  );
});

/** A cluster whose replicas are `lag` slots apart and apply `perSecond`. */
function paced(perSecond, seconds) {
  const told = Array.from({ length: seconds * 4 }, (_, index) => ({
    k: "agg", ts: header.t0 + index * PACE_US, inc: 1, window: 100,
    nodes: Object.fromEntries([1, 2, 3].map((node) => [node, {
      watermark: (index * perSecond) / 4, applied: Math.max(0, (index * perSecond) / 4 - node),
    }])),
  }));
  return foldAll(begin(header), told);
}

test("the rate is that of the last second", () => {
  assert.equal(slotRate(paced(400, 8), 1), 400);
  assert.equal(slotRate(paced(8, 3), 1), 8);
  assert.equal(slotRate(begin(header), 1), 0);
  assert.equal(slotRate({ ...paced(400, 8), ts: header.t0 + 60e6 }, 1), 0);
});

test("a strip stands in above 200 slots a second, until it is below 150 or the view stands still", () => {
  assert.equal(wantsStrip(199, false, false), false);
  assert.equal(wantsStrip(201, false, false), true);
  assert.equal(wantsStrip(160, true, false), true);
  assert.equal(wantsStrip(140, true, false), false);
  assert.equal(wantsStrip(5_000, true, true), false);
});

test("the strip has what each replica applied in each quarter of a second", () => {
  const strip = paceStrip(paced(400, 30), 1);
  assert.equal(strip.times.length, PACE_MAX);
  assert.equal(strip.rows.length, 3);
  assert.equal(strip.rows[0][0], null, "of the first nothing is known before it");
  assert.ok(strip.rows.every((row) => row.slice(1).every((rate) => rate === 400)));
  assert.equal(strip.most, 400);
  const empty = paceStrip(begin(header), 1);
  assert.deepEqual([empty.times, empty.most], [[], 0]);
});

test("quarters in which nobody told anything new are quiet", () => {
  const state = structuredClone(paced(400, 4));
  state.paxos[1].pace.splice(5, 3);
  const { rows, times } = paceStrip(state, 1);
  assert.equal(times.length, 16);
  assert.deepEqual(rows[0].slice(4, 9), [400, 0, 0, 0, 1600]);
});

test("of a cluster that nobody knows nothing is shown", () => {
  assert.deepEqual(slotGrid(at(5), 7, 4).nodes, []);
  assert.deepEqual(groupOf({ clusters: {}, nodes: {} }, 1).slots, []);
});
