import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { narrator } from "../../static/js/narrate.js";
import { begin, foldAll } from "../../static/js/reducer.js";
import { endOf, eventsOf } from "../../static/js/views.js";
import { load } from "./fixtures.mjs";

const sentences = JSON.parse(readFileSync(new URL("../../static/js/sentences.json", import.meta.url), "utf8"));
const narrate = narrator(sentences);
const { header, events } = load("consensus");
const { views } = foldAll(begin(header), events.filter((event) => event.q <= events.find(({ s }) => s === 9).q)).paxos[1];

test("a view tells who stood and why, who promised, and what was proposed again", () => {
  const view = views.find(({ b }) => b[0] === 2);
  assert.deepEqual(eventsOf(view, 1).map((event) => narrate(event)), [
    "n2 stood for election with ballot (2,2): no heartbeat from n1 for 141.5 ms",
    "n3 promised ballot (2,2)",
    "n2 leads cluster 1 with ballot (2,2), promised by n2, n3; all up to slot 2 was chosen before; "
      + "proposed again because a promise carried it: slot 3",
  ]);
});

test("a view ends in leading, or in nothing once there is a later one", () => {
  assert.deepEqual(views.map(({ b }) => b.join()), ["1,1", "1,3", "2,2"]);
  assert.deepEqual(views.map((view) => endOf(view, views)), ["led", "came to nothing", "leads"]);
  assert.equal(endOf(views[1], views.slice(0, 2)), "open");
});
