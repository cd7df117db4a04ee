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
  assert.equal(rounds, events.filter(({ k, n, b, leader }) =>
    (k === "paxos.ballot" && b[1] === n) || (k === "paxos.leader" && leader === n)).length);
  assert.ok(rounds > 0 && player.round(-1) && !new Player(begin(header), []).step(1));
});

test("a step back from a count goes to the event before the one that was told last", () => {
  const at = (k, q) => ({ k, q, ts: header.t0 + q, n: 1, window: 100 });
  const player = new Player(begin(header), [at("node.up", 1), at("node.down", 2), at("agg", 3), at("agg", 4)]);
  player.goto(4);
  assert.equal(player.event.q, 2);
  assert.equal(player.step(-1), true);
  assert.equal(player.event.q, 1);
  assert.equal(player.step(-1), false);
});

test("what is appended is there as if it had been from the start", () => {
  const player = new Player(begin(header), many.slice(0, 10));
  player.goto(10);
  player.append(many.slice(10));
  assert.deepEqual(player.goto(many.length), foldAll(begin(header), many));
  assert.equal(player.end, many.at(-1).ts);
  assert.ok(player.find(700) && player.event.q === 700 && !player.find(10 ** 9));
  assert.deepEqual(player.recent(3).map(({ q }) => q), [698, 699, 700]);
});

test("speed goes from a ten-thousandth to sixteen", () => {
  assert.deepEqual([speedOf(0).toFixed(6), speedOf(100).toFixed(6)], ["0.000100", "16.000000"]);
});
