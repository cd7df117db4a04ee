import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { termFinder } from "../../static/js/glossary.js";
import { narrator } from "../../static/js/narrate.js";
import { begin, foldAll } from "../../static/js/reducer.js";
import { lockWords, whyNode, whySlot, whyTransaction } from "../../static/js/why.js";
import { load } from "./fixtures.mjs";

const parse = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
const narrate = narrator(parse("../../static/js/sentences.json"));
const told = (chain) => chain.links.map((link) => (link.event ? narrate(link.event) : link.words));

const TOPOLOGY = { clusters: [{ id: 1, nodes: [1, 2, 3], first: 1, last: 30 }, { id: 2, nodes: [4, 5, 6], first: 31, last: 60 }] };
let q = 0;
const event = (k, ts, fields) => ({ k, ts, q: (q += 1), inc: 1, ...fields });
const S = 1_000_000;
const STORY = [
  event("paxos.ballot", 1 * S, { n: 1, cl: 1, b: [1, 1] }),
  event("paxos.leader", 1 * S, { n: 1, cl: 1, b: [1, 1], leader: 1, w: 0, quorum: [1, 2] }),
  event("paxos.accepted", 2 * S, { n: 1, cl: 1, s: 1, b: [1, 1] }),
  event("ctl", 3 * S, { actor: "ada", cmd: "kill", args: { node: 1 }, result: "ok" }),
  event("node.down", 3 * S, { n: 1, why: "its control connection ended" }),
  event("paxos.ballot", 4 * S, { n: 3, cl: 1, b: [2, 3], since_ms: 143.2, silent: 1 }),
  event("paxos.ballot", 4 * S, { n: 2, cl: 1, b: [2, 3] }),
  event("paxos.leader", 4 * S, { n: 3, cl: 1, b: [2, 3], leader: 3, w: 0, quorum: [2, 3], again: [1] }),
  event("paxos.accepted", 4 * S, { n: 3, cl: 1, s: 1, b: [2, 3] }),
  event("paxos.accepted", 4 * S, { n: 2, cl: 1, s: 1, b: [2, 3] }),
  event("paxos.applied", 5 * S, { n: 3, cl: 1, s: 1, has: ["Transact"], count: 1 }),
];
const state = foldAll(begin({ run: "r", src: "live", t0: 0, topology: TOPOLOGY }), STORY);

test("a leader leads because it was elected, because another was silent, because somebody killed it", () => {
  const chain = whyNode(state, 3);
  assert.equal(chain.title, "Why does n3 lead cluster 1?");
  assert.deepEqual(told(chain), [
    "n3 leads cluster 1 with ballot (2,3), promised by n2, n3; proposed again because a promise carried it: slot 1",
    "n3 stood for election with ballot (2,3): no heartbeat from n1 for 143.2 ms",
    "n1 is down: its control connection ended",
    "ada asked to kill n1",
  ]);
  assert.equal(chain.links[1].event.q, 6, "a link leads to its event");
});

test("a node that is gone, and one that follows", () => {
  assert.deepEqual(told(whyNode(state, 1)), ["n1 is down: its control connection ended", "ada asked to kill n1"]);
  const [first, second] = told(whyNode(state, 2));
  assert.equal(first, "n2 follows n3, whose ballot (2,3) is the highest it knows");
  assert.match(second, /^n3 leads cluster 1/);
  assert.deepEqual(told(whyNode(state, 5)), ["n5 follows nobody: no node leads cluster 2"]);
  assert.equal(whyNode(state, 99), null);
});

test("a slot is chosen by a majority, and was proposed again for what a promise carried", () => {
  assert.deepEqual(told(whySlot(state, 1, 1)), [
    "n3 applied it, after all slots before it",
    "Chosen in ballot (2,3): n1, n2, n3 accepted it, 3 of 3 and so a majority",
    "n3 proposed it again in ballot (2,3), because a promise carried it: it may have been chosen before",
    "n3 stood for election with ballot (2,3): no heartbeat from n1 for 143.2 ms",
    "n1 is down: its control connection ended",
    "ada asked to kill n1",
  ]);
  assert.match(told(whySlot(state, 1, 77))[0], /does not reach back/);
});

test("an abort, from its last step to its first", () => {
  const tx = "ab-1";
  const steps = [
    event("tx.submit", 6 * S, { n: 3, cl: 1, tx, from: 1, to: 31, amt: 50 }),
    event("tx.lock", 6 * S, { n: 2, cl: 1, tx, s: 2 }), event("tx.lock", 6 * S, { n: 3, cl: 1, tx, s: 2 }),
    event("tx.vote", 6 * S, { n: 4, cl: 2, tx, yes: false, why: "lock_timeout" }),
    event("tx.reply", 7 * S, { n: 3, cl: 1, tx, outcome: "aborted", why: "lock_timeout", ms: 900 }),
  ];
  const chain = whyTransaction(foldAll(state, steps), tx, [...STORY, ...steps]);
  assert.equal(chain.title, "Why did the transaction abort?");
  assert.deepEqual(told(chain), [
    "A transaction aborted: an account stayed locked too long", "n4 votes no: an account stayed locked too long",
    "n3 holds the locks of the transaction", "Transfer of 50 from 1 to 31 arrived",
  ]);
});

test("a lock waits for a decision", () => {
  const [one, two] = lockWords(state, { locks: [{ account: 4, tx: "ab-1", coordinator: 1 }, { account: 5, tx: "ab-2", coordinator: 2 }] });
  assert.equal(one.words, "Account 4 is locked: its transaction is prepared here, and the decision of cluster 1, which n3 leads, has not come");
  assert.match(two.words, /which nobody leads: until it has a leader nobody can decide/);
});

test("every chain of a recorded failover is told without a gap", () => {
  const { header, events } = load("failover");
  const view = foldAll(begin(header), events);
  for (const node of Object.keys(view.nodes)) {
    for (const link of told(whyNode(view, Number(node)))) assert.ok(link && !link.includes("undefined"), link);
  }
});

test("terms are found as words, the longest first", () => {
  const find = termFinder(parse("../../static/js/glossary.json"));
  assert.deepEqual(find("Ballots of a two-phase commit; slots-per"), [
    { text: "Ballots", term: "ballot" }, { text: " of a " }, { text: "two-phase commit", term: "2PC" }, { text: "; slots-per" },
  ]);
  assert.deepEqual(find("nothing"), [{ text: "nothing" }]);
});
