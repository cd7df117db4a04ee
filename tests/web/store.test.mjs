import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { begin, foldAll } from "../../static/js/reducer.js";
import { AHEAD_EVENTS_MAX, Store } from "../../static/js/store.js";
import { load } from "./fixtures.mjs";

const { header, events } = load("failover");
let store;
let due;

/** Runs what waits for the next picture. */
function paint() {
  const callbacks = due;
  due = [];
  for (const callback of callbacks) callback();
}

const feed = (from, to) => store.frame({ events: events.slice(from, to), dropped: 0 });

beforeEach(() => {
  due = [];
  store = new Store((callback) => due.push(callback));
  store.key({ q: 0, run: header.run, state: begin(header) });
});

test("listeners run once per picture, with the newest state", () => {
  const seen = [];
  store.subscribe((view) => seen.push(view.q));
  feed(0, 3);
  feed(3, 6);
  assert.equal(due.length, 1);
  paint();
  assert.deepEqual(seen, [6]);
  paint();
  assert.deepEqual(seen, [6]);
});

test("a listener that ended is not called", () => {
  const seen = [];
  const end = store.subscribe((view) => seen.push(view.q));
  paint();
  end();
  feed(0, 1);
  paint();
  assert.deepEqual(seen, [0]);
});

test("paused, the view stands still, what comes in is counted, and live is where it would have been", () => {
  feed(0, 5);
  store.pause();
  feed(5, 12);
  assert.equal(store.view.q, 5);
  assert.equal(store.fresh, 7);
  store.resume();
  assert.equal(store.view.q, 12);
  assert.deepEqual(store.view, foldAll(begin(header), events.slice(0, 12)));
});

test("stepping goes event by event, back and on, through what was and what came since", async () => {
  feed(0, 4);
  feed(4, 8);
  store.pause();
  feed(8, 10);
  assert.equal(store.at.q, 8);
  const at = () => [store.view.q, store.at.q];
  assert.equal(await store.step(-1), true);
  assert.deepEqual(at(), [7, 7]);
  for (let index = 0; index < 3; index += 1) assert.equal(await store.step(-1), true);
  assert.deepEqual(store.view, foldAll(begin(header), events.slice(0, 4)));
  for (let q = 5; q <= 10; q += 1) {
    assert.equal(await store.step(1), true);
    assert.deepEqual(at(), [q, q]);
  }
  assert.equal(await store.step(1), false);
});

test("stepping passes over aggregates, but folds them", async () => {
  const agg = { k: "agg", q: 2, ts: header.t0, window: 100, nodes: { 1: { queue: 9 } } };
  const mark = (q) => ({ k: "mark", q, ts: header.t0, text: "m" });
  store.frame({ events: [mark(1), agg, mark(3)] });
  store.pause();
  await store.step(-1);
  assert.equal(store.at.q, 1);
  assert.equal(store.view.nodes[1].queue, 0);
  await store.step(1);
  assert.equal(store.at.q, 3);
  assert.equal(store.view.nodes[1].queue, 9);
});

test("back to the first remembered event and no further", async () => {
  feed(0, 2);
  store.pause();
  assert.equal(await store.step(-1), true);
  assert.equal(await store.step(-1), false);
  assert.equal(store.at.q, 1);
});

test("a step pauses by itself", async () => {
  feed(0, 3);
  await store.step(-1);
  assert.equal(store.paused, true);
  assert.equal(store.view.q, 2);
});

test("what is remembered while paused is bounded; live still is exact", () => {
  store.pause();
  const marks = Array.from({ length: AHEAD_EVENTS_MAX + 50 }, (_, q) => ({ k: "mark", q, ts: header.t0, text: "m" }));
  store.frame({ events: marks });
  assert.equal(store.fresh, AHEAD_EVENTS_MAX + 50);
  assert.equal(store.timeline.player.events.length, AHEAD_EVENTS_MAX);
  store.resume();
  assert.equal(store.view.q, AHEAD_EVENTS_MAX + 49);
});

test("after a keyframe in a pause, events that do not join on are not stepped into", async () => {
  feed(0, 2);
  store.pause();
  store.key({ q: 20, run: header.run, state: foldAll(begin(header), events.slice(0, 20)) });
  feed(20, 22);
  assert.equal(await store.step(1), false);
  assert.equal(store.view.q, 2);
  store.resume();
  assert.equal(store.view.q, 22);
});

test("events that never came are counted", () => {
  store.frame({ events: [], dropped: 3 });
  store.frame({ events: [], dropped: 4 });
  store.gap({ from: 11, to: 15 });
  assert.equal(store.missing, 12);
});
