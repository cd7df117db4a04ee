/** How one transaction came about: its waterfall beside its slow motion, both at one moment, and the time bar's. */

import { find, show, text } from "../dom.js";
import { waterfall } from "../waterfall.js";
import { Microscope } from "./microscope.js";
import { Waterfall } from "./waterfall.js";

export class Steps {
  /**
   * @param {HTMLElement} root of partials/steps.html
   * @param {{store: import("../store.js").Store, narrate: Function, moves: import("../moves.js").Moves}} shell
   */
  constructor(root, { store, narrate, moves }) {
    this.root = root;
    this.store = store;
    this.began = Infinity;
    this.chart = null;
    this.picture = new Waterfall(root, narrate);
    this.microscope = new Microscope(find("[data-microscope]", root),
      (at, row) => this.picture.stand(at, row), (playing) => this.picture.hush(playing));
    this.picture.onstep = (at) => this.microscope.stand(at);
    this.moment = find("[data-steps-moment]", root);
    this.moment.addEventListener("click", () => moves.goto(this.began, null));
    // While the view is held the waterfall's cursor stands where the time bar does.
    this.clock = null;
    store.subscribe(() => {
      show(this.moment, store.source !== null && store.source.start <= this.began && this.began !== Infinity);
      const held = store.held ? store.timeline.clock : null;
      if (held !== null && held !== this.clock) this.picture.follow(held);
      this.clock = held;
    });
  }

  /** Show what is known of a transaction; returns what waterfall() made of it. */
  update(steps, clusters) {
    this.chart = waterfall(steps, clusters);
    this.picture.update(this.chart);
    this.microscope.update(this.chart);
    this.began = Math.min(...steps.map(({ ts }) => ts));
    const clock = this.store.held ? this.store.timeline.clock : -Infinity;
    if (clock >= this.began && clock <= this.began + 1_000 * this.chart.span) this.picture.follow(clock);
    this.store.wake();
    return this.chart;
  }

  /** Tell why there is nothing to see; "" where there is. */
  say(words) {
    const note = find("[data-steps-note]", this.root);
    text(note, words);
    show(note, words !== "");
    show(find("[data-steps-body]", this.root), words === "");
  }

  /** The same steps, told again: at another level. */
  retell() {
    if (this.chart) this.picture.update(this.chart);
  }

  /** Another transaction is about to be shown, or none. */
  clear() {
    this.microscope.leave();
    this.picture.leave();
    this.began = Infinity;
    this.chart = null;
    this.store.wake();
  }
}
