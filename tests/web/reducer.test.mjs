import assert from "node:assert/strict";
import { test } from "node:test";

import { TRANSACTIONS_MAX } from "../../static/js/fold/tx.js";
import { begin, empty, FEED_MAX, fold, foldAll, SERIES_MAX } from "../../static/js/reducer.js";
import { load, names } from "./fixtures.mjs";

function freeze(value) {
  if (value && typeof value === "object" && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}

test("there are fixtures", () => {
  assert.deepEqual(names.sort(), ["consensus", "experiments", "failover", "faults", "heat", "moves", "traffic"]);
});

for (const name of names) {
  const { header, events, states } = load(name);
  const end = states.at(-1)[1];

  test(`${name}: the fold gives the states that Python gives`, () => {
    for (const [q, expected] of states) {
      assert.deepEqual(foldAll(begin(header), events.filter((event) => event.q <= q)), expected);
    }
  });

  test(`${name}: folding on from any keyframe gives the same end`, () => {
    for (const [q, state] of states) {
      assert.deepEqual(foldAll(state, events.filter((event) => event.q > q)), end);
    }
  });

  test(`${name}: one by one, on frozen states and events, gives the same end`, () => {
    let state = freeze(begin(header));
    for (const event of events) state = freeze(fold(state, freeze(event)));
    assert.deepEqual(state, end);
  });
}

test("lists are bounded", () => {
  const end = load("traffic").states.at(-1)[1];
  assert.equal(end.series.length, SERIES_MAX);
  assert.equal(end.tx.length, TRANSACTIONS_MAX);
  const marks = Array.from({ length: 3 * FEED_MAX }, (_, q) => ({ k: "mark", ts: 1, q, text: "m" }));
  const feed = foldAll(empty(), marks).feed;
  assert.equal(feed.length, FEED_MAX);
  assert.equal(feed[0].q, 2 * FEED_MAX);
});
