import assert from "node:assert/strict";
import { test } from "node:test";

import { heatAt, historyAt, hottestAt } from "../../static/js/busy.js";
import { ROW_US } from "../../static/js/fold/heat.js";
import { OwnersMap, ownersAt } from "../../static/js/owners.js";
import { begin, fold, foldAll } from "../../static/js/reducer.js";
import { load } from "./fixtures.mjs";

const { header, events: all } = load("heat");
const events = all.filter(({ heat }) => heat);
const start = begin(header);
const last = events.filter(({ inc }) => inc === 1).at(-1);
const minute = foldAll(start, events.filter(({ q }) => q <= last.q));

test("rows of time are what events of that time told", () => {
  const { bins, rows, bucket_s: seconds } = historyAt(minute, 9_000);
  assert.deepEqual([bins, rows.length, seconds], [90, 30, 2]);
  const newest = minute.ts - (minute.ts % ROW_US);
  for (const [age, row] of rows.entries()) {
    const told = new Array(90).fill(0);
    for (const event of events) {
      if (event.inc !== 1 || event.ts - (event.ts % ROW_US) !== newest - age * ROW_US || event.heat["3"] === 700) continue;
      for (const [bin, count] of Object.entries(event.heat)) told[bin] += count;
    }
    assert.deepEqual(row, told, `${age} rows ago`);
  }
});

test("a quiet time moves rows on", () => {
  const later = fold(minute, { k: "mark", q: last.q + 1, ts: minute.ts + 4_000_000, text: "later" });
  assert.deepEqual(historyAt(later, 9_000).rows.slice(2), historyAt(minute, 9_000).rows.slice(0, -2));
});

test("a cell is as busy as its neighbourhood was lately", () => {
  const heat = heatAt(minute, { accounts: 9_000, per_cell: 1, cells: 9_000 });
  const sums = historyAt(minute, 9_000).rows.slice(0, 5).reduce((a, b) => a.map((value, at) => value + b[at]));
  assert.deepEqual([heat[0], heat[99], heat[100], heat[8_999]], [sums[0], sums[0], sums[1], sums[89]]);
  const coarse = heatAt(minute, { accounts: 900_000, per_cell: 100, cells: 9_000 });
  assert.deepEqual(coarse, heat);
});

test("the busiest accounts of the last seconds come first", () => {
  const hottest = hottestAt(minute);
  assert.equal(hottest.length, 10);
  assert.deepEqual(hottest, [...hottest].sort(([a, x], [b, y]) => y - x || a - b));
  assert.ok(hottest[0][1] >= 40);
});

test("a map says how busy each neighbourhood was, or that nobody knows", () => {
  const map = ownersAt(minute);
  assert.deepEqual([map.near, map.recent_s, map.heat.length], [100, 10, 9_000]);
  assert.equal(ownersAt(start).heat, null);
  assert.equal(historyAt(start, 9_000), null);
});

test("a map follows the time also where nothing more is told", () => {
  const map = new OwnersMap();
  assert.ok(Math.max(...map.at(minute).heat) > 0);
  const later = fold(minute, { k: "mark", q: last.q + 1, ts: minute.ts + 20_000_000, text: "later" });
  assert.equal(Math.max(...map.at(later).heat), 0);
  assert.equal(map.at(later), map.at(later));
});

test("accounts that are few are told of one by one", () => {
  const few = begin({ ...header, topology: { clusters: [{ id: 1, nodes: [1], first: 1, last: 60 }] } });
  assert.equal(ownersAt(few).near, 0);
});

test("a reset forgets", () => {
  assert.equal(foldAll(start, events).heat.length, 1);
});
