import assert from "node:assert/strict";
import { test } from "node:test";

import { millis, rate } from "../../static/js/format.js";
import { preview } from "../../static/js/parts/transfer.js";
import { feedRows, toneOf } from "../../static/js/parts/feed.js";
import { DOTS_MAX, Sampler, shareDrawn } from "../../static/js/parts/particles.js";
import { foldAll } from "../../static/js/reducer.js";
import {
  actionsFor, activeFaults, chartSeries, faultOf, figures, isElecting, leaderOf, leaderSentence, linkRates, percentile, sampling,
  stateWord,
} from "../../static/js/select.js";
import { load } from "./fixtures.mjs";

const stateOf = (name) => load(name).states.at(-1)[1];
const failover = stateOf("failover");
const node = (id, up) => ({ ...failover, nodes: { ...failover.nodes, [id]: { ...failover.nodes[id], up } } });

test("transactions told of one by one are set against all that were answered", () => {
  const agg = (committed) => ({ k: "agg", tx: { committed, aborted: 0 } });
  const reply = (tx) => ({ k: "tx.reply", tx });
  assert.deepEqual(sampling([]), { share: "none", of: 0 });
  assert.deepEqual(sampling([agg(2), reply("a"), reply("b"), { k: "agg", links: {} }]), { share: "all", of: 1 });
  assert.deepEqual(sampling([agg(60), agg(40), reply("a"), reply("a"), reply("b")]), { share: "some", of: 50 });
});

test("a link says what is wrong with it, each way for itself", () => {
  const cuts = { "1>2": { a: 1, b: 2, delay: 200, loss: 0.2 }, "2>1": { a: 2, b: 1, delay: 0, loss: 1 } };
  assert.equal(faultOf({ cuts }, 1, 2), "delayed by 200 ms, loses 20 %");
  assert.equal(faultOf({ cuts }, 2, 1), "cut");
  assert.equal(faultOf({ cuts }, 1, 3), "");
});

test("the leader is the one of the highest ballot, while it is up", () => {
  assert.equal(leaderOf(failover, 1), 2);
  assert.equal(stateWord(failover, failover.nodes[2]), "leader");
  assert.equal(leaderSentence(failover, failover.clusters[1]), "n2 leads, ballot (2,2)");
  const gone = node(2, "down");
  assert.equal(leaderOf(gone, 1), 0);
  assert.equal(stateWord(gone, gone.nodes[2]), "down");
  assert.equal(leaderSentence(gone, gone.clusters[1]), "n2 led and is gone; no new leader yet");
});

test("a deposed leader that has not heard of it is no leader", () => {
  const old = { ...failover.nodes[1], role: "leader" };
  assert.equal(stateWord(failover, old), "follower");
});

test("an election shows, and is forgotten when nothing comes of it", () => {
  const ballot = { k: "paxos.ballot", ts: failover.ts, n: 3, inc: 1, b: [3, 3] };
  const electing = foldAll(failover, [ballot]);
  assert.equal(isElecting(electing, electing.clusters[1]), true);
  assert.equal(leaderSentence(electing, electing.clusters[1]), "n3 stands for election with ballot (3,3)");
  const later = { ...electing, ts: electing.ts + 4_000_000 };
  assert.equal(isElecting(later, later.clusters[1]), false);
});

test("faults in force have a sentence each", () => {
  assert.deepEqual(activeFaults(failover), []);
  assert.deepEqual(activeFaults(node(3, "paused")), ["n3 paused"]);
  const cuts = { "1>2": { a: 1, b: 2, delay: 0, loss: 1 }, "2>1": { a: 2, b: 1, delay: 40, loss: 0 } };
  assert.deepEqual(activeFaults({ ...failover, cuts }), ["n1 → n2 cut", "n2 → n1 delayed by 40 ms"]);
});

test("only what makes sense can be done to a node", () => {
  assert.ok(actionsFor(failover.nodes[1]).includes("fail"));
  assert.deepEqual(actionsFor({ up: "killed" }), ["restart"]);
  assert.deepEqual(actionsFor({ up: "unknown" }), []);
});

test("percentiles come from the histogram, at most one bucket high", () => {
  assert.equal(percentile({}, 0.5), null);
  assert.equal(percentile({ 0: 1 }, 0.99), 0.1);
  assert.equal(percentile({ 0: 50, 8: 49, 40: 1 }, 0.5), 0.1);
  assert.equal(percentile({ 0: 50, 8: 49, 40: 1 }, 0.99), 0.4);
  assert.equal(percentile({ 0: 50, 8: 49, 40: 1 }, 1), (100 * 2 ** 10) / 1000);
});

test("charts draw whole seconds up to the last one", () => {
  const state = stateOf("traffic");
  const rows = chartSeries(state, 60);
  assert.equal(rows.time.length, 60);
  assert.ok(rows.time.at(-1) < state.ts / 1e6);
  assert.ok(rows.committed.every((value) => value === null || value >= 0));
  assert.ok(rows.committed.filter((value) => value !== null).length > 50);
  const young = { ...failover, ts: 10_000_000, series: [{ ts: 8_000_000, committed: 5, aborted: 1, reads: 2, hist: {} }] };
  const few = chartSeries(young, 4);
  assert.deepEqual(few.time, [6, 7, 8, 9]);
  assert.deepEqual(few.committed, [null, null, 7, null]);
  assert.equal(figures(young).committed, 7);
  assert.equal(figures({ ...young, series: [] }).committed, null);
});

test("rates are per second, and silent links are left out", () => {
  const state = {
    ts: 5_000_000,
    links: {
      "1>2": { m: { accept: 3, commit: 1, heartbeat: 4, prevote: 2, "tx.vote": 1 }, window: 100, ts: 4_900_000 },
      "2>1": { m: { accepted: 3 }, window: 100, ts: 1_000_000 },
    },
  };
  assert.deepEqual(linkRates(state), { "1>2": { accept: 30, accepted: 0, repair: 10, election: 20, twopc: 10, heartbeat: 40 } });
});

test("few messages are dots each, many are drawn as about 1 + 3·log10(rate) dots under way", () => {
  assert.equal(shareDrawn(0.5), 1);
  assert.equal(shareDrawn(1), 1);
  const underWay = shareDrawn(1_000) * 1_000 * 1.1;
  assert.ok(Math.abs(underWay - 10) < 1e-9);
  assert.ok(DOTS_MAX <= 300);
});

test("the sampler takes each window once", () => {
  const sampler = new Sampler();
  const view = { links: { "1>2": { m: { accept: 1 }, window: 100, ts: 1 } } };
  assert.deepEqual(sampler.take(view).dots.map(({ a, b, cls }) => `${a}${cls}${b}`), ["1accept2"]);
  assert.equal(sampler.take(view).dots.length, 0);
  const next = { links: { "1>2": { m: { accept: 1 }, window: 100, ts: 2 } } };
  assert.equal(sampler.take(next).messages, 1);
});

test("a steady link draws what its rate says", () => {
  const sampler = new Sampler();
  let dots = 0;
  for (let window = 1; window <= 100; window += 1) {
    const view = { links: { "1>2": { m: { heartbeat: 4 }, window: 100, ts: window } } };
    dots += sampler.take(view).dots.length;
  }
  const perSecond = dots / 10;
  assert.ok(perSecond > 4 && perSecond < 8, `${perSecond} dots a second for 40 messages a second`);
});

test("the preview names clusters and path", () => {
  assert.equal(preview(failover, 1001, 1002), "Both in cluster 1: one Paxos group decides, n2 leads it.");
  assert.equal(
    preview(failover, 1001, 4000),
    "Clusters 1 and 2: two-phase commit, n2 coordinates, n4 takes part.",
  );
  assert.equal(preview(failover, NaN, NaN), "Any two of the accounts 1–9000.");
  assert.equal(preview(failover, 1001, NaN), "Account 1001 is in cluster 1.");
  assert.equal(preview(failover, 9001, NaN), "There is no account 9001; accounts are 1–9000.");
  assert.equal(preview(failover, 1.5, NaN), "There is no account 1.5; accounts are 1–9000.");
  assert.equal(preview(failover, 7, 7), "Sender and receiver are the same account.");
});

test("the feed has newest first, and can be told what to show", () => {
  const rows = feedRows(failover, "all");
  assert.deepEqual(rows.map((row) => row.q), rows.map((row) => row.q).toSorted((a, b) => b - a));
  assert.ok(feedRows(failover, "tx").every((row) => row.k === "tx.reply"));
  assert.ok(feedRows(failover, "system").every((row) => row.k !== "tx.reply"));
  assert.equal(feedRows(failover, "all", 3).length, 3);
  assert.equal(toneOf({ k: "tx.reply", outcome: "aborted" }), "warn");
});

test("numbers read well", () => {
  assert.deepEqual([null, 0, 0.26, 9.96, 12_345.6].map(rate), ["–", "0", "0.3", "10", "12,346"]);
  assert.deepEqual([null, 1.234, 12.34, 1_234].map(millis), ["–", "1.23", "12.3", "1,234"]);
});
