import assert from "node:assert/strict";
import { test } from "node:test";

import { MARK_WORDS, MARKED_KINDS, Marks, markOf } from "../../static/js/marks.js";
import { speedOf } from "../../static/js/player.js";
import { NORMAL_POSITION } from "../../static/js/moves.js";

const event = (k, q, ts = q) => ({ k, q, ts, n: 1, b: [2, 1], leader: 1 });

test("a fault and its end are marked apart; each class has a word", () => {
  assert.equal(markOf(event("node.fail", 1)), "fault");
  assert.equal(markOf(event("link.cut", 1)), "fault");
  for (const kind of ["node.recover", "link.heal", "node.up"]) assert.equal(markOf(event(kind, 1)), "mend", kind);
  assert.equal(markOf(event("tx.reply", 1)), "");
  for (const kind of MARKED_KINDS) assert.ok(MARK_WORDS[markOf(event(kind, 1))], kind);
});

test("of an election only who stood and who won is marked, not each promise", () => {
  assert.equal(markOf({ k: "paxos.ballot", n: 2, b: [3, 1] }), "");
  assert.equal(markOf({ k: "paxos.ballot", n: 1, b: [3, 1] }), "election");
  assert.equal(markOf({ k: "paxos.leader", n: 2, b: [3, 1], leader: 1 }), "");
  assert.equal(markOf({ k: "paxos.leader", n: 1, b: [3, 1], leader: 1 }), "election");
});

test("marks stay in order and single, however they come in", () => {
  const marks = new Marks();
  marks.add([event("node.fail", 5), event("tx.reply", 6), event("node.up", 7)]);
  marks.add([event("link.cut", 2), event("node.fail", 5)]);
  marks.add([event("map.epoch", 9)]);
  assert.deepEqual(marks.marks.map(({ first }) => first.q), [2, 5, 7, 9]);
});

const SECOND = 1_000_000;

test("the oldest go when there are too many that are far apart", () => {
  const marks = new Marks(1, 3);
  marks.add([1, 2, 3, 4, 5].map((q) => event("node.fail", q, q * 60 * SECOND)));
  assert.deepEqual(marks.marks.map(({ first }) => first.q), [2, 3, 4, 5]);
});

test("ten minutes of many marks keep the newest whole, thin those before, and lose none", () => {
  const marks = new Marks(100, 600);
  const kinds = ["node.fail", "node.up", "paxos.leader"];
  const all = Array.from({ length: 6_000 }, (_, index) => event(kinds[index % 3], index + 1, index * SECOND / 10));
  for (let from = 0; from < all.length; from += 50) {
    marks.add(all.slice(from, from + 50));
    assert.ok(marks.marks.length <= 600 + 2 * 100);
  }
  assert.deepEqual(marks.counts, { fault: 2_000, mend: 2_000, election: 2_000 });
  assert.ok(marks.marks.slice(-100).every(({ stands }) => stands === 1));
  assert.equal(marks.marks.at(-1).last, all.at(-1));
  const drawn = marks.between(0, 600 * SECOND, 120);
  assert.ok(drawn.length >= 3 * 115, `every place of every class is drawn: ${drawn.length}`);
  assert.equal(drawn.reduce((sum, [, , stands]) => sum + stands, 0), 6_000);
});

test("what a thinned mark stands for is known already", () => {
  const marks = new Marks(2);
  const all = [1, 2, 3, 4, 5, 6].map((q) => event("node.fail", q));
  marks.add(all);
  assert.equal(marks.marks.length, 3);
  marks.add(all.slice(1, 3));
  assert.deepEqual(marks.counts, { fault: 6 });
});

test("a thinned mark is gone to from both sides", () => {
  const marks = new Marks(1);
  marks.add([event("paxos.leader", 2), event("paxos.leader", 5), event("node.fail", 7), event("node.fail", 8)]);
  const next = (q, direction) => marks.next(q, direction, "election")?.q ?? null;
  assert.deepEqual([next(0, 1), next(2, 1), next(5, 1)], [2, 5, null]);
  assert.deepEqual([next(9, -1), next(5, -1), next(2, -1)], [5, 2, null]);
});

test("what is drawn is one of each class for each place, and says how many it stands for", () => {
  const marks = new Marks();
  marks.add(Array.from({ length: 1_000 }, (_, q) => event(q % 2 ? "node.fail" : "paxos.leader", q + 1, q * SECOND)));
  const drawn = marks.between(0, 1_000 * SECOND, 10);
  assert.ok(drawn.length >= 20 && drawn.length <= 22, `${drawn.length}`);
  assert.equal(drawn.reduce((sum, [, , stands]) => sum + stands, 0), 1_000);
  assert.deepEqual(marks.between(2_000 * SECOND, 3_000 * SECOND), []);
});

test("the next of a class on either side", () => {
  const marks = new Marks();
  marks.add([event("paxos.leader", 3), event("node.fail", 5), event("paxos.ballot", 8)]);
  assert.deepEqual([marks.next(5, -1, "election").q, marks.next(5, 1, "election").q, marks.next(8, 1, "election")], [3, 8, null]);
});

test("the speed nearest to one stands where the slider begins", () => {
  const off = (position) => Math.abs(Math.log(speedOf(position)));
  assert.ok(off(NORMAL_POSITION) < off(NORMAL_POSITION - 1) && off(NORMAL_POSITION) < off(NORMAL_POSITION + 1));
});
