import assert from "node:assert/strict";
import { test } from "node:test";

import { OWNERS_MAX } from "../../static/js/fold/moves.js";
import { OwnersMap, ownersAt } from "../../static/js/owners.js";
import { wordsOf } from "../../static/js/parts/recordedmap.js";
import { Player } from "../../static/js/player.js";
import { begin, empty, fold, foldAll } from "../../static/js/reducer.js";
import { load } from "./fixtures.mjs";

const { header, events } = load("moves");
const start = begin(header);

/** Owners from the events alone, by another way: all claims of the present life, the highest epoch of each account. */
function ownersFrom(told) {
  let claims = [];
  let life = 0;
  for (const event of told) {
    if ((event.inc ?? 0) > 0 && event.inc < life) continue;
    if ((event.inc ?? 0) > life) [life, claims] = [event.inc, []];
    if (event.k === "map.moved") {
      for (let at = 0; at < event.rows.length; at += 3) claims.push(event.rows.slice(at, at + 3));
    }
    const cluster = { "mig.flip": event.to, "map.epoch": event.cl }[event.k];
    for (const [index, account] of (cluster ? event.accounts ?? [] : []).entries()) {
      claims.push([account, cluster, event.epochs?.[index] ?? 0]);
    }
  }
  const found = new Map();
  for (const [account, cluster, epoch] of claims) {
    const known = found.get(account);
    const next = known ? known[1] + 1 : 1;
    if (epoch === 0 ? cluster !== known?.[0] : epoch > (known?.[1] ?? 0)) found.set(account, [cluster, epoch || next]);
  }
  return Object.fromEntries(found);
}

test("owners live, from the trace and after any seek are the same", () => {
  const player = new Player(start, events);
  let live = start;
  const states = [live];
  for (const event of events) states.push((live = fold(live, event)));
  const order = events.map((_, index) => (index * 37) % (events.length + 1));
  for (const index of [...order, events.length, 0]) {
    const told = events.slice(0, index);
    assert.deepEqual(player.goto(index).owners, ownersFrom(told), `after ${index}`);
    assert.deepEqual(foldAll(start, told).owners, states[index].owners, `after ${index}`);
    assert.deepEqual(ownersAt(player.state), ownersAt(states[index]), `after ${index}`);
  }
  assert.ok(states.some(({ owners }) => Object.keys(owners).length >= 5), "the story moves accounts");
});

test("before anything moved each account is at its first home", () => {
  const map = ownersAt(start);
  assert.deepEqual([map.accounts, map.per_cell, map.cells.length, map.away.length], [9000, 1, 9000, 0]);
  assert.deepEqual([1, 3000, 3001, 9000].map((account) => map.cells[account - 1]), [1, 1, 2, 3]);
  assert.deepEqual(map.clusters.map(({ accounts, came, left }) => [accounts, came, left]), Array(3).fill([3000, 0, 0]));
});

test("an account is at its new owner from its flip on, and on its way from start to flip", () => {
  const at = (kind, batch) => events.findIndex((event) => event.k === kind && event.batch === batch);
  const before = ownersAt(foldAll(start, events.slice(0, at("mig.flip", 50))));
  const leaves = ({ moving }) => moving.some(({ account, from, to }) => account === 50 && from === 1 && to === 2);
  assert.ok(leaves(before));
  assert.equal(before.cells[49], 1);
  const after = ownersAt(foldAll(start, events.slice(0, at("mig.flip", 50) + 1)));
  assert.ok(!leaves(after));
  assert.equal(after.cells[49], 2);
  assert.equal(after.homes[49], 1);
  assert.deepEqual(after.away.find(({ account }) => account === 50), { account: 50, home: 1, cluster: 2 });
  // 50 and 51 went out of 1, 40 and 41 and 2007 had moved before, 5001 came from 2.
  assert.deepEqual(after.clusters.map(({ accounts, came, left }) => [accounts, came, left]),
    [[3000 + 1 - 5, 1, 5], [3000 + 4 - 1, 4, 1], [3001, 1, 0]]);
});

test("one that went home again is not away, and a reset brings all home", () => {
  const reset = events.findIndex((event) => event.inc === 2);
  const before = ownersAt(foldAll(start, events.slice(0, reset)));
  assert.ok(!before.away.some(({ account }) => account === 50), "its way back was told before its way out");
  assert.ok(before.away.length > 1);
  const after = ownersAt(foldAll(start, events.slice(0, reset + 1)));
  assert.deepEqual(after.away, []);
  assert.deepEqual(after.moving, [{ account: 60, from: 1, to: 3 }]);
});

test("of a large bank a cell has the owner of its first account", () => {
  const map = ownersAt({ ...start, owners: { 1: [2, 1], 2: [3, 1], 8999: [1, 1] } }, 3_001);
  assert.deepEqual([map.per_cell, map.cells.length], [3, 3000]);
  assert.deepEqual([map.cells[0], map.cells[1], map.cells[2999], map.cells[1000]], [2, 1, 3, 2]);
  assert.equal(map.away.length, 3);
});

test("the map is made anew only where owners or moves changed", () => {
  const maps = new OwnersMap();
  const first = maps.at(start);
  assert.equal(maps.at({ ...start, q: 9, nodes: {} }), first);
  assert.notEqual(maps.at(fold(start, { k: "map.moved", ts: 1, rows: [7, 2, 1] })), first);
});

test("accounts that are held are bounded, and the words say so", () => {
  const rows = Array.from({ length: OWNERS_MAX + 5 }, (_, index) => [index + 1, 2, 1]).flat();
  const state = fold({ ...empty(), clusters: { 1: { id: 1, first: 1, last: 50_000 }, 2: { id: 2, first: 50_001, last: 50_002 } } },
    { k: "map.moved", ts: 1, rows });
  assert.equal(Object.keys(state.owners).length, OWNERS_MAX);
  assert.match(wordsOf(ownersAt(state)), /At least 20,000 away from their first home/);
  assert.equal(fold(state, { k: "map.moved", ts: 2, rows: [3, 1, 2, 49_000, 2, 1] }).owners[3][0], 1);
});

test("a state of an earlier version has no owners, and shows first homes", () => {
  const { owners, heat, ...old } = start;
  assert.deepEqual([owners, heat], [{}, []]);
  assert.equal(ownersAt(old).away.length, 0);
  assert.deepEqual(fold(old, { k: "map.moved", ts: 1, rows: [7, 2, 1] }).owners, { 7: [2, 1] });
});
