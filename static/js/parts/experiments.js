/** The banner of what has the bank on show to itself, on every page. */

import { find, make, show } from "../dom.js";

/** @param {object} view the state on view */
export function showExperiments(view) {
  const running = view.experiments ?? [];
  const list = find("[data-experiments]");
  if (!list) return;
  show(find("#experiments"), running.length > 0);
  const key = running.map(({ path, title }) => `${path} ${title}`).join("|");
  if (list.dataset.shown === key) return;
  list.dataset.shown = key;
  list.replaceChildren(...running.map(({ path, title }) => make("li", {}, make("a", { href: path }, title))));
}
