/** Ballots of a cluster, newest first: who stood and why, who promised, what came of it. */

import { attribute, find, make, show } from "../dom.js";
import { ballot, millis, timeOfDay } from "../format.js";
import { sameBallot } from "../spacetime.js";
import { endOf, eventsOf } from "../views.js";

const TAGS = { leads: "tag-good", open: "tag-warn" };

export class Ballots {
  /**
   * @param {HTMLElement} root
   * @param {(event: object) => string} narrate
   * @param {(b: number[]) => void} select a ballot whose messages are wanted
   */
  constructor(root, narrate, select) {
    this.list = find("[data-views=list]", root);
    this.empty = find("[data-views=empty]", root);
    this.narrate = narrate;
    this.select = select;
    this.views = null;
    this.shown = "";
    this.list.addEventListener("click", (event) => {
      const button = event.target.closest("[data-ballot]");
      if (button) this.select(button.dataset.ballot.split(".").map(Number));
    });
  }

  /** The same ballots are told again at the next update: at another level. */
  retell() {
    this.views = null;
  }

  update({ views }, cluster, chosen) {
    const key = JSON.stringify(chosen);
    if (this.views === views && this.shown === key) return;
    this.views = views;
    this.shown = key;
    show(this.empty, views.length === 0);
    // A button that has the focus keeps it: the list is made anew around it.
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.ballot : null;
    this.list.replaceChildren(...[...views].reverse().map((view) => this.#row(view, views, cluster, chosen)));
    if (focused) find(`[data-ballot="${focused}"]`, this.list)?.focus();
  }

  #row(view, views, cluster, chosen) {
    const end = endOf(view, views);
    const took = view.led && view.why ? `, ${millis((view.led - view.ts) / 1000)} ms from standing to leading` : "";
    const button = make("button", { type: "button", class: "button button-s", "data-ballot": view.b.join(".") }, "Messages");
    attribute(button, "aria-pressed", String(chosen !== null && sameBallot(chosen, view.b)));
    attribute(button, "aria-label", `Messages of ballot ${ballot(view.b)}`);
    return make("li", { "data-view": view.b.join("."), "data-end": end },
      make("div", { class: "view-head" }, make("strong", {}, ballot(view.b)), make("span", { class: `tag ${TAGS[end] ?? ""}` }, end),
        make("span", { class: "muted small" }, `n${view.n}, ${timeOfDay(view.ts)}${took}`), button),
      make("ul", { class: "view-told" }, ...eventsOf(view, cluster).map((event) => make("li", {}, this.narrate(event)))));
  }
}
