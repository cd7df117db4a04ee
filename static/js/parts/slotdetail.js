/** What is in one slot: its transactions, and when each replica accepted, chose and applied it. */

import { attribute, find, make, show, text } from "../dom.js";
import { ballot, count, millis, timeOfDay } from "../format.js";
import { cellOf, contentsInWords, GLYPHS } from "../slotgrid.js";

export class SlotDetail {
  /** @param {HTMLElement} root @param {string} transaction address of a transaction's page, with `ID` in place of its id */
  constructor(root, transaction) {
    this.root = root;
    this.transaction = transaction;
    this.shown = "";
  }

  /** @param {object | null} slot entry of the state, or null where nothing is known of it; `gone`: remembered only here */
  update(number, slot, nodes, isGone) {
    const cells = slot ? nodes.map((node) => cellOf(slot, node)) : [];
    const key = JSON.stringify([number, slot, cells, isGone]);
    if (key === this.shown) return;
    this.shown = key;
    text(find("[data-slot=title]", this.root), number ? `Slot ${count(number)}` : "Slot");
    show(find("[data-slot=body]", this.root), slot !== null);
    const why = find("[data-slot=why]", this.root);
    show(why, slot !== null && !isGone);
    attribute(why, "data-why", why.dataset.why.replace(/\d+$/, String(number)));
    const words = note(number, slot, isGone, nodes);
    text(find("[data-slot=note]", this.root), words);
    show(find("[data-slot=note]", this.root), words !== "");
    if (!slot) return;
    text(find("[data-slot=ballot]", this.root), ballot(slot.b));
    text(find("[data-slot=holds]", this.root), contentsInWords(slot));
    text(find("[data-slot=at]", this.root), timeOfDay(slot.ts));
    this.#transactions(slot);
    this.#replicas(slot, nodes, cells);
  }

  #transactions(slot) {
    const list = find("[data-slot=tx]", this.root);
    list.replaceChildren(...slot.tx.map((tx) => make("li", {},
      make("a", { href: this.transaction.replace("ID", tx), class: "mono" }, short(tx)))));
    show(list, slot.tx.length > 0);
  }

  #replicas(slot, nodes, cells) {
    const times = Object.values(slot.at).flatMap((cell) => [cell.accepted, cell.chosen, cell.applied]).filter(Boolean);
    const start = Math.min(...times);
    const at = (ts) => (ts ? `+${millis((ts - start) / 1000)}` : "–");
    find("[data-slot=rows]", this.root).replaceChildren(...nodes.map((node, index) => {
      const known = slot.at[node.id] ?? {};
      const { stage, b } = cells[index];
      const row = make("tr", {}, make("th", { scope: "row" }, `n${node.id}`),
        make("td", { class: "nowrap" }, stage ? `${GLYPHS[stage]} ${stage}` : "–"), make("td", { class: "num" }, b ? ballot(b) : "–"),
        ...["accepted", "chosen", "applied"].map((name) => make("td", { class: "num" }, at(known[name]))));
      attribute(row, "data-stage", stage);
      return row;
    }));
  }
}

const short = (tx) => (tx.length > 14 ? `${tx.slice(0, 8)}…${tx.slice(tx.indexOf("-"))}` : tx);

function note(number, slot, isGone, nodes) {
  if (!number) return "Choose a slot in the grid.";
  const isPast = nodes.some(({ watermark }) => number <= watermark);
  if (!slot && isPast) return "It is chosen; a page holds the steps of the last slots only. Seek back to when it was decided.";
  if (!slot) return "Nobody has proposed it yet.";
  return isGone ? "It has left the grid; this is what was seen of it." : "";
}
