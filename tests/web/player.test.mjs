import assert from "node:assert/strict";
import { test } from "node:test";

import { KEYFRAME_EVENTS, Player, speedOf } from "../../static/js/player.js";
import { begin, foldAll } from "../../static/js/reducer.js";
import { load } from "./fixtures.mjs";

const { header, events } = load("failover");
const many = Array.from({ length: 3 * KEYFRAME_EVENTS + 7 }, (_, index) => ({
  k: index % 3 ? "node.down" : "node.up", n: 1 + (index % 3), q: index + 1, ts: header.t0 + 10 * index,
}));

test("a seek gives the fold, whatever was looked at before", () => {
  for (const list of [events, many]) {
    const player = new Player(begin(header), list);
    for (const index of [list.length, 0, 7, list.length - 1, Math.floor(list.length / 2), 1]) {
      assert.deepEqual(player.goto(index), foldAll(begin(header), list.slice(0, index)), `after ${index}`);
    }
  }
});

test("a time finds the last event that is not later, also when a node's clock was behind", () => {
  const at = (ts, q) => ({ k: "node.up", n: 1, q, ts: header.t0 + ts });
  const player = new Player(begin(header), [at(10, 1), at(5, 2), at(20, 3)]);
  assert.deepEqual([4, 10, 15, 20, 99].map((ts) => player.indexAt(header.t0 + ts)), [0, 2, 2, 3, 3]);
  assert.equal(player.seek(header.t0 + 15).q, 2);
  assert.equal(player.time, header.t0 + 10);
});

test("steps pass over counts; rounds go from election to election and stop at the ends", () => {
  const player = new Player(begin(header), events);
  while (player.step(1)) assert.notEqual(player.event.k, "agg");
  const last = player.index;
  assert.equal(player.step(1), false);
  assert.equal(player.index, last);
  player.goto(0);
  let rounds = 0;
  while (player.round(1)) rounds += 1;
  assert.equal(rounds, events.filter((event) => /paxos\.(ballot|leader)/.test(event.k)).length);
  assert.ok(rounds > 0 && player.round(-1) && !new Player(begin(header), []).step(1));
});

test("marks are bounded, and each is at its time", () => {
  const player = new Player(begin(header), many);
  const marks = player.marks(20);
  assert.ok(marks.length > 10 && marks.length <= 20);
  for (const [time, kind, event] of marks) assert.deepEqual([time, kind], [event.ts, "fault"]);
});

test("speed goes from a ten-thousandth to sixteen", () => {
  assert.deepEqual([speedOf(0).toFixed(6), speedOf(100).toFixed(6)], ["0.000100", "16.000000"]);
});
