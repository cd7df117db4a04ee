/** The steps of a plan that is being made, as the partitioner tells of them; its page asks less often. */

import { attribute, find, findAll, show, text } from "../dom.js";
import { count } from "../format.js";

const STEP_OF = { snapshot: 0, level: 1, moves: 2, quality: 3 };

/** What the partitioner does now, in words. @param {object} hg of the state on view */
export function said(hg) {
  const which = hg.trial ? "Trial, on a part of the window: " : "Plan, on the whole window: ";
  switch (hg.is) {
    case "level": return `${which}level ${hg.level}, ${count(hg.vertices ?? 0)} super-vertices.`;
    case "moves": return `${which}level ${hg.level}, ${count(hg.moved)} moves tried.`;
    case "quality": return `${which}${count(hg.km1)} cut.`;
    default: return "The traffic is a hypergraph by now: accounts, and the transactions that bind them.";
  }
}

/** Index of the step. A level that moves vertices after the coarsest one refines. */
export function stepOf(hg, coarsest) {
  const step = STEP_OF[hg.is] ?? 0;
  return step === 2 && hg.level < coarsest ? 3 : step;
}

export class Stepper {
  constructor(plan) {
    this.plan = plan;
    this.coarsest = 0;
  }

  /** @param {object} view the state on view */
  update(view) {
    const { hg } = view;
    if (hg?.plan !== this.plan || find("#state")?.dataset.status !== "planning") return;
    this.coarsest = hg.is === "level" ? hg.level : Math.max(this.coarsest, hg.level);
    const now = stepOf(hg, this.coarsest);
    findAll("#state .stepper li").forEach((item, index) => {
      attribute(item, "data-step", index < now ? "done" : index === now ? "now" : "later");
    });
    const words = find("[data-partitioner]");
    show(words, true);
    text(words, said(hg));
  }
}
