/** The page of one transaction: its steps, asked for until no more come. */

import { find, show, text } from "../dom.js";
import { Waterfall } from "../parts/waterfall.js";
import { waterfall } from "../waterfall.js";

const AGAIN_MS = 500;
const TRIES_MAX = 40;

/** @param {{store: import("../store.js").Store, narrate: Function, moves: import("../moves.js").Moves}} shell */
export function start({ store, narrate, moves }) {
  const root = find("[data-steps]");
  if (!root) return;
  show(root, true);
  const picture = new Waterfall(root, narrate);
  const moment = find("[data-steps-moment]", root);
  let began = Infinity;
  // While the view is held the waterfall's cursor stands where the time bar does.
  let clock = null;
  store.subscribe(() => {
    show(moment, store.source !== null && store.source.start <= began && began !== Infinity);
    const held = store.held ? store.timeline.clock : null;
    if (held !== null && held !== clock) picture.follow(held);
    clock = held;
  });
  moment.addEventListener("click", () => moves.goto(began, null));
  follow(root, picture, (steps) => {
    began = Math.min(...steps.map(({ ts }) => ts));
    store.wake();
  });
}

async function follow(root, picture, known) {
  let shown = -1;
  let missing = true;
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const told = await ask(root.dataset.steps);
    if (told.problem) {
      say(root, `The steps could not be fetched: ${told.problem}`);
    } else if (told.steps.length > 0) {
      say(root, "");
      const chart = waterfall(told.steps, told.clusters);
      if (told.steps.length !== shown) {
        picture.update(chart);
        known(told.steps);
      }
      shown = told.steps.length;
      missing = chart.missing.length > 0;
    }
    if (told.settled) root.dataset.stepsReady = "";
    // A node that is cut off or slow may tell much later than the others.
    if (told.settled && !missing) break;
    await new Promise((resume) => setTimeout(resume, AGAIN_MS));
  }
  if (shown < 0) say(root, "No node told of its steps: it was sent in a batch, or before the site knew to ask, or the trace was full.");
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

function say(root, words) {
  const note = find("[data-steps-note]", root);
  text(note, words);
  show(note, words !== "");
  show(find("[data-steps-body]", root), words === "");
}
