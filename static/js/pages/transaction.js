/** The page of one transaction: its steps, asked for until no more come. */

import { find, show } from "../dom.js";
import { Steps } from "../parts/steps.js";

const AGAIN_MS = 500;
const TRIES_MAX = 40;

/** @param {{store: import("../store.js").Store, narrate: Function, moves: import("../moves.js").Moves}} shell */
export function start(shell) {
  const root = find("[data-steps]");
  if (!root) return;
  show(root, true);
  follow(root, new Steps(root, shell));
}

async function follow(root, steps) {
  let shown = -1;
  let missing = true;
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const told = await ask(root.dataset.steps);
    if (told.problem) {
      steps.say(`The steps could not be fetched: ${told.problem}`);
    } else if (told.steps.length > 0) {
      steps.say("");
      if (told.steps.length !== shown) missing = steps.update(told.steps, told.clusters).missing.length > 0;
      shown = told.steps.length;
    }
    if (told.settled) root.dataset.stepsReady = "";
    // A node that is cut off or slow may tell much later than the others.
    if (told.settled && !missing) break;
    await new Promise((resume) => setTimeout(resume, AGAIN_MS));
  }
  if (shown < 0) steps.say("No node told of its steps: it was sent in a batch, or before the site knew to ask, or the trace was full.");
  root.dataset.stepsReady = "";
}

async function ask(address) {
  try {
    const answer = await fetch(address, { headers: { accept: "application/json" } });
    const body = await answer.json();
    return answer.ok ? body : { problem: body.detail ?? `status ${answer.status}` };
  } catch (error) {
    return { problem: error.message };
  }
}
