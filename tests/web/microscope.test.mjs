import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { momentOf, pace, playOf, sceneAt } from "../../static/js/microscope.js";
import { waterfall } from "../../static/js/waterfall.js";

const { clusters, steps } = JSON.parse(readFileSync(new URL("../data/cross-transfer.json", import.meta.url), "utf8"));
const chart = waterfall(steps, clusters);
const paced = pace(chart);
const laneOf = (node) => chart.lanes.findIndex((lane) => lane.node === node);
const at = (moment) => sceneAt(chart, paced, moment);

test("time runs on from before the request to after the answer, and every step has its time", () => {
  assert.ok(paced.start < 0 && paced.end >= chart.span);
  assert.ok(paced.seconds >= 6 && paced.seconds <= 24);
  assert.deepEqual([paced.points[0].play, paced.points.at(-1).play], [0, 1]);
  const least = 0.5 / paced.points.length;
  for (let i = 1; i < paced.points.length; i += 1) {
    assert.ok(paced.points[i].at > paced.points[i - 1].at);
    assert.ok(paced.points[i].play - paced.points[i - 1].play > least, "no step is over before it is seen");
  }
});

test("moments and playing time are each other's inverse, and end at the ends", () => {
  for (const play of [0, 0.11, 0.37, 0.5, 0.93, 1]) {
    assert.ok(Math.abs(playOf(paced, momentOf(paced, play)) - play) < 1e-9);
  }
  assert.equal(momentOf(paced, 2), paced.end);
  assert.equal(momentOf(paced, -1), paced.start);
  assert.equal(playOf(paced, 1e9), 1);
});

test("before the request nothing has happened but that it is on its way", () => {
  const scene = at(paced.start / 2);
  assert.ok(scene.lanes.every((lane) => lane.mark === "" && lane.phase === "" && !lane.locked));
  assert.deepEqual(scene.flights.map(({ from, to, m, guessed }) => [from, to, m, guessed]), [[0, laneOf(1), "submit", true]]);
  assert.ok(scene.flights[0].part > 0 && scene.flights[0].part < 1);
  assert.equal(scene.row, -1);
});

test("a message is on its way between the moments that its ends told of", () => {
  const prepare = chart.arrows.find((arrow) => arrow.m === "tx.prepare");
  const on = at((prepare.sent + prepare.got) / 2).flights.find((flight) => flight.m === "tx.prepare");
  assert.deepEqual([on.from, on.to, on.guessed], [laneOf(1), laneOf(4), false]);
  assert.ok(Math.abs(on.part - 0.5) < 0.01);
  assert.ok(!at(prepare.got).flights.some((flight) => flight.m === "tx.prepare"));
});

test("locks are held from the prepare to the decision, node by node", () => {
  for (const node of [1, 2, 4]) {
    const locks = chart.bars.find((bar) => bar.lane === laneOf(node) && bar.phase === "locks");
    assert.ok(!at(locks.from - 0.001).lanes[laneOf(node)].locked);
    assert.ok(at(locks.from).lanes[laneOf(node)].locked);
    assert.ok(!at(locks.to).lanes[laneOf(node)].locked);
  }
});

test("the client knows when the answer is there, not when it leaves", () => {
  const { sent } = chart.arrows.find((arrow) => arrow.m === "reply");
  const leaving = at(sent);
  assert.equal(leaving.lanes[0].mark, "submit");
  assert.ok(leaving.flights.some((flight) => flight.m === "reply" && flight.part === 0));
  const there = at(paced.answer);
  assert.equal(there.lanes[0].mark, "reply");
  assert.ok(!there.flights.some((flight) => flight.m === "reply"));
});

test("at the end everybody has applied it and the client knows", () => {
  const { lanes, flights, row } = at(paced.end);
  assert.deepEqual(lanes.map((lane) => lane.mark), ["reply", ...Array(6).fill("apply")]);
  assert.deepEqual([flights, row], [[], chart.rows.length - 1]);
});

test("an abort is marked as one", () => {
  const aborted = waterfall([
    { k: "tx.submit", n: 1, ts: 0, tx: "a-1", from: 1, to: 9, amt: 3 },
    { k: "tx.decide", n: 1, ts: 2_000, tx: "a-1", s: 3, outcome: "aborted" },
  ], clusters);
  const scene = sceneAt(aborted, pace(aborted), 2);
  assert.deepEqual([scene.lanes[1].mark, scene.lanes[1].no], ["decide", true]);
});

test("clocks that disagree let no message arrive before it left", () => {
  const skewed = waterfall([
    { k: "tx.submit", n: 1, ts: 0, tx: "a-1" },
    { k: "msg.send", n: 1, ts: 900, to: 4, m: "tx.prepare", mid: "x" },
    { k: "msg.recv", n: 1, ts: 500, to: 4, m: "tx.prepare", mid: "x" },
    { k: "tx.apply", n: 1, ts: 2_000, tx: "a-1", outcome: "committed" },
  ], clusters);
  const run = pace(skewed);
  for (let play = 0; play <= 1; play += 0.01) {
    assert.ok(!sceneAt(skewed, run, momentOf(run, play)).flights.some((flight) => flight.m === "tx.prepare"));
  }
});

test("nothing known is a scene in which nothing moves", () => {
  const none = waterfall([], clusters);
  const scene = sceneAt(none, pace(none), 0);
  assert.deepEqual([scene.flights, scene.row], [[], -1]);
});
