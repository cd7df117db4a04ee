import assert from "node:assert/strict";
import { test } from "node:test";

import { ends } from "../../static/js/parts/movelist.js";
import { columns, words } from "../../static/js/parts/sharechart.js";
import { said, stepOf } from "../../static/js/parts/stepper.js";

const FIGURES = { cross_shard_pct: 66.7, throughput_tps: 1000 };
const ONE = {
  series: [[-1, 66, 0, 1000, null], [0.5, 40, 90, 1500, 8], [1.5, 7, 380, 2400, 5]],
  before: FIGURES, predicted: { cross_shard_pct: 6.6, throughput_tps: 2370 }, started: "2026-01-01",
};

test("what is predicted holds from the beginning of the moves on", () => {
  const [times, share, before, predicted, tps, expected] = columns(ONE);
  assert.deepEqual(times, [-1, 0.5, 1.5]);
  assert.deepEqual(share, [66, 40, 7]);
  assert.deepEqual(before, [66.7, 66.7, 66.7]);
  assert.deepEqual(predicted, [null, 6.6, 6.6]);
  assert.deepEqual(tps, [1000, 1500, 2400]);
  assert.deepEqual(expected, [null, 2370, 2370]);
});

test("a redistribution in words", () => {
  assert.equal(words(ONE),
    "Now 7.0 % across clusters. Before 66.7 %, predicted 6.6 %. 2,400 /s committed, 2.4 times as many as before; expected 2,370 /s.");
  assert.equal(words({ ...ONE, series: [] }), "Nothing measured yet.");
  assert.equal(words({ series: [[1, 5, 0, 0, null]], before: null, predicted: null, started: null }), "Now 5.0 % across clusters.");
});

test("moves stand at both ends, and what has arrived goes after a while", () => {
  const batch = { plan: "p", batch: 1, from: 1, to: 2, accounts: [2007, 9], is: "moving", ts: 0 };
  const view = {
    ts: 10_000_000, clusters: { 1: { id: 1 }, 2: { id: 2 } },
    moves: [{ ...batch, batch: 0, accounts: [5], is: "moved" }, batch, { ...batch, batch: 2, accounts: [3], is: "back", ts: 9_000_000 }],
  };
  const [one, two] = ends(view);
  assert.deepEqual(one.leaving.map(({ account, is }) => [account, is]), [[3, "back"], [2007, "moving"], [9, "moving"]]);
  assert.deepEqual(one.arriving, []);
  assert.deepEqual(two.arriving.map(({ account }) => account), [3, 2007, 9]);
  assert.deepEqual(ends({ ts: 0, clusters: { 1: { id: 1 } } }), [{ id: 1, leaving: [], arriving: [] }]);
});

test("the partitioner's steps", () => {
  assert.equal(stepOf({ is: "snapshot" }, 0), 0);
  assert.equal(stepOf({ is: "level", level: 3 }, 3), 1);
  assert.equal(stepOf({ is: "moves", level: 3 }, 3), 2);
  assert.equal(stepOf({ is: "moves", level: 1 }, 3), 3);
  assert.equal(stepOf({ is: "quality", level: 0 }, 3), 3);
  assert.equal(said({ is: "level", level: 2, vertices: 1200, trial: true }),
    "Trial, on a part of the window: level 2, 1,200 super-vertices.");
  assert.equal(said({ is: "moves", level: 2, moved: 40, trial: false }), "Plan, on the whole window: level 2, 40 moves tried.");
});
