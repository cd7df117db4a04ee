/** The dialog that opens a chain of causes: for every `[data-why]`, "node 3", "slot 1 41", "tx <id>" or "lock 3". */

import { find, make } from "../dom.js";
import { timeOfDay } from "../format.js";
import { read } from "../rest.js";
import { lockWords, whyNode, whySlot, whyTransaction } from "../why.js";
import { markTerms } from "./terms.js";

/** Events looked through for the steps of a transaction. */
const LOOK_BACK = 20_000;

export class Why {
  /** @param {import("../store.js").Store} store @param {Function} narrate @param {string} page address that shows a moment */
  constructor(store, narrate, page) {
    this.store = store;
    this.narrate = narrate;
    this.page = page;
    this.asked = null;
    this.dialog = find("#why-dialog");
    document.addEventListener("click", (event) => {
      const button = event.target.closest?.("[data-why]");
      if (!button) return;
      event.preventDefault();
      this.open(button.dataset.why);
    });
  }

  /** @param {string} what see above */
  open(what) {
    this.asked = what;
    this.show();
    if (this.dialog.open) this.dialog.close();
    this.dialog.showModal();
  }

  /** The same question, told again: at another level. */
  retell() {
    if (this.dialog.open) this.show();
  }

  show() {
    const [kind, ...rest] = this.asked.split(" ");
    const chain = this.#chain(kind, rest);
    if (!chain) return;
    find("[data-why-title]", this.dialog).textContent = chain.title;
    const list = find("[data-why-links]", this.dialog);
    list.replaceChildren(...chain.links.map((link) => this.#link(link)));
    if (!chain.links.length) list.append(make("li", { class: "muted" }, "What is remembered here does not reach back to it."));
    delete list.dataset.focusing;
    markTerms(list);
    const locks = find("[data-why-locks]", this.dialog);
    locks.replaceChildren();
    if (kind === "node" && this.store.live && !this.store.held) this.#locks(Number(rest[0]), locks);
  }

  #chain(kind, rest) {
    const { view } = this.store;
    if (kind === "node") return whyNode(view, Number(rest[0]));
    if (kind === "slot") return whySlot(view, Number(rest[0]), Number(rest[1]));
    if (kind === "tx") return whyTransaction(view, rest[0], this.store.recent(LOOK_BACK));
    return null;
  }

  #link(link) {
    const said = link.event ? this.narrate(link.event) : link.words;
    const ts = link.event?.ts ?? link.ts;
    return make("li", {}, make("p", {}, said), this.#moment(ts, link.event?.q));
  }

  #moment(ts, q) {
    const address = new URL(this.page, location.href);
    address.search = new URLSearchParams({ recording: this.store.view.run, t: ts, ...(q ? { q } : {}) });
    return make("a", { class: "small", href: address.href }, timeOfDay(ts));
  }

  async #locks(node, root) {
    try {
      const locks = lockWords(this.store.view, await read(`nodes/${node}/locks/`));
      if (!locks.length) return;
      root.append(make("h3", {}, "Locks it holds"), make("ul", {}, ...locks.map(({ words, tx }) => make("li", {}, words, " ",
        ...(tx ? [make("button", { class: "button button-s", type: "button", "data-why": `tx ${tx}` }, "Why?")] : [])))));
    } catch (error) {
      root.append(make("p", { class: "muted small" }, `Its locks cannot be asked for: ${error.message}`));
    }
  }
}

/** A button that asks. */
export const whyButton = (what, label) => make("button", {
  class: "why-button", type: "button", "data-why": what, "aria-label": label,
}, "Why?");
