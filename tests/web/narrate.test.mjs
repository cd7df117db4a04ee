import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { narrator, notability } from "../../static/js/narrate.js";

const sentences = JSON.parse(readFileSync(new URL("../../static/js/sentences.json", import.meta.url), "utf8"));
const narrate = narrator(sentences);

test("variants follow their fields, as in Python", () => {
  const ballot = { k: "paxos.ballot", ts: 1, n: 2, b: [2, 2] };
  assert.equal(narrate(ballot), "n2 stood for election with ballot (2,2)");
  assert.equal(
    narrate({ ...ballot, since_ms: 143.26 }),
    "n2 stood for election with ballot (2,2): no heartbeat for 143.3 ms",
  );
  assert.equal(narrate({ ...ballot, n: 3 }), "n3 promised ballot (2,2)");
});

test("a batch is not its plan, and long lists end", () => {
  const batch = { k: "mig.start", ts: 1, n: 1, cl: 1, plan: "ab12cd34ef", batch: 7, to: 2 };
  assert.equal(
    narrate({ ...batch, accounts: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] }),
    "Batch 7 of plan ab12cd34 begins to move from cluster 1 to cluster 2: 1, 2, 3, 4, 5, 6, 7, 8 and 4 more",
  );
});

test("codes become words", () => {
  const reply = { k: "tx.reply", ts: 1, tx: "a", outcome: "aborted", ms: 1, why: "insufficient_funds" };
  assert.equal(narrate(reply), "A transaction aborted: the sender has not enough money");
});

test("a kind that there is not gives null", () => {
  assert.equal(narrate({ k: "paxos.guess", ts: 1 }), null);
});

test("levels add to the plain sentence, as in Python", () => {
  const stood = { k: "paxos.ballot", ts: 1, n: 2, b: [2, 2], since_ms: 143.26, silent: 1 };
  const plain = "n2 stood for election with ballot (2,2): no heartbeat from n1 for 143.3 ms";
  assert.equal(narrate(stood, "plain"), plain);
  assert.equal(narrate(stood, "paper"),
    `${plain}. Phase 1a: prepare with a number above all others [Lamport, Paxos Made Simple, §2.2]`);
  assert.equal(narrate({ k: "mark", ts: 1, text: "here" }, "course"), "here");
  assert.equal(stood.plain, undefined);
});

test("lists are joined, as in Python", () => {
  const led = { k: "paxos.leader", ts: 1, n: 2, cl: 1, b: [2, 2], leader: 2, w: 40, quorum: [2, 3], again: [41, 42] };
  assert.equal(narrate(led), "n2 leads cluster 1 with ballot (2,2), promised by n2, n3; all up to slot 40 was chosen "
    + "before; proposed again because a promise carried it: slot 41, 42");
});

test("single steps stand in no list of what happened", () => {
  const isNotable = notability(sentences);
  assert.equal(isNotable({ k: "paxos.ballot" }), true);
  assert.equal(isNotable({ k: "paxos.applied" }), false);
  assert.equal(isNotable({ k: "agg" }), false);
});
