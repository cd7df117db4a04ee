import assert from "node:assert/strict";
import { test } from "node:test";

import { Player } from "../../static/js/player.js";
import { begin, foldAll } from "../../static/js/reducer.js";
import { Store } from "../../static/js/store.js";
import { Timeline } from "../../static/js/timeline.js";
import { load } from "./fixtures.mjs";

const { header } = load("failover");
/** 400 events, ten milliseconds apart; each fourth is an election. */
const STEP_US = 10_000;
const run = Array.from({ length: 400 }, (_, index) => {
  const common = { n: 1 + (index % 3), q: index + 1, ts: header.t0 + STEP_US * (index + 1) };
  return index % 4 ? { ...common, k: "node.fail" } : { ...common, k: "paxos.ballot", b: [index + 1, common.n] };
});
const END = run.at(-1).ts;
const stateAt = (time) => foldAll(begin(header), run.filter(({ ts }) => ts <= time));

/** A run on a disk that gives half a second at once, and counts how often it is asked. */
class Disk {
  start = header.t0;
  grows = false;
  asked = [];

  async stretch(time, end) {
    this.asked.push(time);
    const from = Math.max(this.start, time - 250_000);
    const to = Math.min(end, time + 250_000);
    await null;
    return { player: new Player(stateAt(from), run.filter(({ ts }) => ts > from && ts <= to)), from, to };
  }
}

async function open(time = header.t0) {
  const source = new Disk();
  const timeline = new Timeline(await source.stretch(time, END), { source, end: END });
  await timeline.seek(time);
  return { source, timeline };
}

test("a seek anywhere gives the fold up to there, whatever stretch was at hand", async () => {
  const { timeline } = await open();
  for (const share of [0.9, 0.1, 0.11, 1, 0, 0.5]) {
    const time = Math.round(header.t0 + share * (END - header.t0));
    await timeline.seek(time);
    assert.deepEqual(timeline.state, stateAt(time), `at ${share}`);
  }
});

test("of many seeks while one is fetched only the last is shown, and what lies between is not asked for", async () => {
  const { source, timeline } = await open();
  const before = source.asked.length;
  const times = [0.5, 0.6, 0.7, 0.8].map((share) => header.t0 + share * (END - header.t0));
  await Promise.all(times.map((time) => timeline.seek(time)));
  assert.deepEqual(timeline.state, stateAt(times.at(-1)));
  assert.deepEqual(source.asked.slice(before), [times[0], times[3]]);
});

test("back to what is at hand while another stretch is fetched, it stays there", async () => {
  const { timeline } = await open();
  const away = timeline.seek(END);
  await timeline.seek(header.t0 + 5 * STEP_US);
  await away;
  assert.equal(timeline.state.q, 5);
});

test("a step right after a seek starts where the seek leads", async () => {
  const { timeline } = await open();
  timeline.seek(END);
  assert.equal(await timeline.step(-1), true);
  assert.equal(timeline.state.q, run.length - 1);
});

test("steps go through the whole run and back, over the edges of stretches", async () => {
  const { source, timeline } = await open();
  const seen = [];
  while (await timeline.step(1)) seen.push(timeline.state.q);
  assert.deepEqual(seen, run.map(({ q }) => q));
  assert.ok(source.asked.length < 30, `${source.asked.length} stretches`);
  for (let q = run.length - 1; q >= 1; q -= 1) {
    assert.equal(await timeline.step(-1), true, `to ${q}`);
    assert.equal(timeline.state.q, q);
    assert.deepEqual(timeline.state, stateAt(run[q - 1].ts));
  }
});

test("rounds go to marks that no stretch at hand holds", async () => {
  const { timeline } = await open();
  const marks = { next: (q, direction, cls) => {
    assert.equal(cls, "election");
    return direction > 0 ? run.find((event) => event.q > 300 && event.k === "paxos.ballot") : null;
  } };
  await timeline.seek(header.t0 + 26 * STEP_US);
  await timeline.seek(header.t0 + 50 * STEP_US);
  assert.equal(await timeline.round(1, marks), true);
  assert.equal(timeline.event.q, 301);
  await timeline.round(-1, marks);
  assert.equal(timeline.event.q, 297);
});

test("played, the clock goes by its speed and ends at the end", async () => {
  const { timeline } = await open();
  timeline.playing = true;
  timeline.speed = 0.5;
  assert.equal(timeline.tick(100), false);
  assert.equal(timeline.clock, header.t0 + 50_000);
  assert.equal(timeline.state.q, 5);
  timeline.speed = 16;
  assert.equal(timeline.tick(1_000), true);
  assert.equal(timeline.clock, END);
});

test("a stretch that cannot be had stops the film and says why", async () => {
  const { source, timeline } = await open();
  source.stretch = async () => { throw new Error("it is gone"); };
  timeline.playing = true;
  await timeline.seek(END);
  assert.deepEqual([timeline.error, timeline.playing, timeline.loading], ["it is gone", false, false]);
});

test("a live view is held, sought back beyond what it remembers, played, and follows the head again", async () => {
  const store = new Store((callback) => callback());
  const source = Object.assign(new Disk(), { grows: true });
  store.source = source;
  store.key({ run: header.run, state: stateAt(run[299].ts) });
  store.frame({ events: run.slice(300, 350) });
  store.pause();
  store.frame({ events: run.slice(350) });
  assert.deepEqual([store.view.q, store.fresh, store.paused], [350, 50, true]);
  await store.timeline.seek(header.t0 + 20 * STEP_US);
  assert.deepEqual(store.view, stateAt(run[19].ts));
  await store.timeline.seek(run[359].ts);
  store.play(true);
  assert.deepEqual([store.held, store.paused], [true, false]);
  assert.equal(store.timeline.tick(600), true, "it has caught up");
  store.resume();
  assert.deepEqual(store.view, stateAt(END));
  assert.deepEqual(store.recent(2).map(({ q }) => q), [399, 400]);
});
