import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { narrator } from "../../static/js/narrate.js";

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

test("codes become words", () => {
  const reply = { k: "tx.reply", ts: 1, tx: "a", outcome: "aborted", ms: 1, why: "insufficient_funds" };
  assert.equal(narrate(reply), "A transaction aborted: the sender has not enough money");
});

test("a kind that people are not told of gives null", () => {
  assert.equal(narrate({ k: "paxos.applied", ts: 1, n: 1, s: 4 }), null);
});
