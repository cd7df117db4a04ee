/** The link picker: somebody chooses a line of the stage, or any two nodes, and cuts, delays or loses what goes along. */

import { find, findAll, show, text } from "../dom.js";
import { faultOf } from "../select.js";

export class LinkPicker {
  /** @param {HTMLDialogElement} dialog */
  constructor(dialog) {
    this.dialog = dialog;
    this.form = find("[data-link-form]", dialog);
    this.view = null;
    for (const button of findAll("[data-link-act]", dialog)) {
      button.addEventListener("click", () => this.#act(button.dataset.linkAct));
    }
    find("[data-link-close]", dialog).addEventListener("click", () => dialog.close());
    this.form.addEventListener("change", () => this.#say());
    this.form.addEventListener("htmx:afterRequest", (event) => {
      if (event.detail.successful) dialog.close();
    });
    for (const button of findAll("[data-do=links]")) {
      show(button, true);
      button.addEventListener("click", () => this.open());
    }
  }

  /** Ask what to do with the link between two nodes; those of before if none are named. */
  open(a = null, b = null) {
    const { source, target } = this.form.elements;
    if (a !== null) source.value = a;
    if (b !== null) target.value = b;
    if (source.value === target.value) target.selectedIndex = source.selectedIndex === 0 ? 1 : 0;
    this.#say();
    this.dialog.showModal();
  }

  update(view) {
    this.view = view;
    if (this.dialog.open) this.#say();
  }

  #say() {
    const { source, target } = this.form.elements;
    const found = this.view ? [[source.value, target.value], [target.value, source.value]]
      .map(([a, b]) => [a, b, faultOf(this.view, a, b)])
      .filter(([, , words]) => words)
      .map(([a, b, words]) => `n${a} → n${b} ${words}`) : [];
    text(find("[data-link-now]", this.dialog), found.length ? found.join("; ") : "Nothing is wrong with it.");
  }

  #act(name) {
    const { cut, delay_ms: delay, loss } = this.form.elements;
    cut.disabled = name !== "cut";
    delay.value = name === "delay" ? find("[data-link-delay]", this.dialog).value : "0";
    loss.value = name === "lose" ? String(Number(find("[data-link-loss]", this.dialog).value) / 100) : "0";
    this.form.requestSubmit();
  }
}
