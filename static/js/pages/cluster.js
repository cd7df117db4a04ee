/** The Cluster page: puts its parts together. */

import { find, show, text } from "../dom.js";
import { showAmbient } from "../parts/ambient.js";
import { showFigures, startCharts } from "../parts/charts.js";
import { startDrawers } from "../parts/drawer.js";
import { Feed } from "../parts/feed.js";
import { LinkPicker } from "../parts/links.js";
import { Particles, showScale } from "../parts/particles.js";
import { startRates } from "../parts/rates.js";
import { Stage } from "../parts/stage.js";
import { startTransfer } from "../parts/transfer.js";
import { figures, sampling } from "../select.js";

/** Figures change at most this often, so that they can be read. */
const FIGURES_MS = 500;

/** Events looked at for how many transactions are recorded one by one. */
const SAMPLE_EVENTS = 3_000;

/** @param {{store: import("../store.js").Store, narrate: Function, onTheme: Function, onLevel: Function}} shell */
export function start({ store, narrate, onTheme, onLevel }) {
  // In a recording nothing can be done to a link.
  const dialog = find("#link-picker");
  const picker = dialog && new LinkPicker(dialog);
  const stage = new Stage(find("#stage"), picker && ((a, b) => picker.open(a, b)));
  const particles = new Particles(find("[data-particles]"), stage);
  const charts = startCharts();
  const feed = new Feed(narrate);
  onLevel(() => feed.retell());
  const rates = startRates();
  const transfer = startTransfer();
  let figuresAt = -FIGURES_MS;
  startDrawers();
  show(find("[data-legend]"), true);
  onTheme(() => {
    particles.recolour();
    charts.recolour();
  });
  store.subscribe((view) => {
    if (!view.run) return;
    stage.update(view);
    picker?.update(view);
    particles.update(view, store.paused, store.timeline?.speed);
    charts.update(view);
    feed.update(view);
    rates(view);
    if (store.live) showAmbient(view);
    transfer(view);
    if (performance.now() - figuresAt < FIGURES_MS && !store.paused) return;
    figuresAt = performance.now();
    showFigures(figures(view));
    showScale(particles);
    showSampling(store.recent(SAMPLE_EVENTS));
  });
}

/** Keeps the legend's word on how many transactions stand in the feed one by one true. */
function showSampling(events) {
  const found = sampling(events);
  const words = { none: "", all: "every transaction is recorded", some: `1 of ≈ ${found.of} transactions is recorded` };
  text(find("[data-legend=sampling]"), words[found.share]);
}
