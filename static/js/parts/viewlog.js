/** NEW-VIEWs that stand in the cluster's log (PrintView), asked for when somebody looks; a live bank only. */

import { find, make, text } from "../dom.js";
import { ballot, count } from "../format.js";
import { read } from "../rest.js";

export class ViewLog {
  /** @param {HTMLDetailsElement} root */
  constructor(root, cluster) {
    this.root = root;
    this.cluster = cluster;
    this.asked = "";
    this.wanted = "";
    root.addEventListener("toggle", () => this.#ask());
  }

  /** `ballot`: the newest one known; the log is asked for again when it is another. */
  update(ballot) {
    this.wanted = String(ballot);
    this.#ask();
  }

  async #ask() {
    if (!this.root.open || this.asked === this.wanted) return;
    this.asked = this.wanted;
    const note = find("[data-viewlog=note]", this.root);
    try {
      const { results } = await read("views/");
      const views = results.find(({ cluster }) => cluster === this.cluster)?.views ?? [];
      find("[data-viewlog=rows]", this.root).replaceChildren(...[...views].reverse().map(row));
      text(note, views.length === 0 ? "None: the cluster is led by the leader it began with." : "");
    } catch (error) {
      text(note, `The log could not be asked: ${error.message}`);
    }
  }
}

function row(view) {
  const again = view.slots.map((slot) => (slot.bytes ? `${count(slot.slot)} of ${ballot(slot.ballot)}` : `${count(slot.slot)} no-op`));
  return make("tr", {}, make("th", { scope: "row", class: "num" }, ballot(view.ballot)), make("td", {}, `n${view.leader}`),
    make("td", { class: "num" }, count(view.slot)), make("td", { class: "num" }, count(view.watermark)),
    make("td", {}, again.join(", ") || "–"));
}
