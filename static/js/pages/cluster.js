/** The Cluster page: puts its parts together. */

import { find, show } from "../dom.js";
import { showFigures, startCharts } from "../parts/charts.js";
import { startDrawers } from "../parts/drawer.js";
import { Feed } from "../parts/feed.js";
import { Particles, showScale } from "../parts/particles.js";
import { startRates } from "../parts/rates.js";
import { Stage } from "../parts/stage.js";
import { startTransfer } from "../parts/transfer.js";
import { figures } from "../select.js";

/** Figures change at most this often, so that they can be read. */
const FIGURES_MS = 500;

/** @param {{store: import("../store.js").Store, narrate: Function, onTheme: Function}} shell */
export function start({ store, narrate, onTheme }) {
  const stage = new Stage(find("#stage"));
  const particles = new Particles(find("[data-particles]"), stage);
  const charts = startCharts();
  const feed = new Feed(narrate);
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
    particles.update(view, store.paused);
    charts.update(view);
    feed.update(view);
    rates(view);
    transfer(view);
    if (performance.now() - figuresAt < FIGURES_MS && !store.paused) return;
    figuresAt = performance.now();
    showFigures(figures(view));
    showScale(particles);
  });
}
