/** One redistribution: the share across clusters as it falls, and the hypergraph as its accounts move. */

import { attribute, colour, find, show, text } from "../dom.js";
import { count } from "../format.js";
import { CourseChart } from "../parts/coursechart.js";
import { cut, film, homesAfter, positions } from "../parts/hypergraph.js";
import { ShareChart } from "../parts/sharechart.js";
import { Stepper } from "../parts/stepper.js";
import { read, repeat } from "../rest.js";

const EVERY_MS = 1_000;
const HUES = 6;
/** A whole film takes about so long, in at most so many batches. */
const FILM_MS = 8_000;
const BATCHES = 60;
const GLIDE_MS = 220;
const hue = (cluster) => `--c${((cluster - 1) % HUES) + 1}`;
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

/** The hypergraph on its canvas. `shown` counts the moves that are made in the picture. */
class Graph {
  constructor(canvas, levels, one, shown) {
    this.canvas = canvas;
    this.total = one.moves.length;
    /** Told how many of the plan's moves are made in the picture. */
    this.onShown = shown;
    this.snapshot = levels.snapshot;
    this.film = film(levels.snapshot, one.moves);
    this.clusters = [...new Set([
      ...this.film.homes, ...this.film.moves.map(({ to }) => to),
    ])].sort((a, b) => a - b);
    this.shown = 0;
    this.from = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.draw();
  }

  /** Show the state after `moves` of the shown accounts' moves; glide there unless motion is not wanted. */
  show(moves) {
    const before = this.points();
    this.shown = Math.min(moves, this.film.moves.length);
    const last = this.shown === this.film.moves.length ? this.total : this.film.moves[this.shown - 1]?.at;
    this.onShown(last ?? 0);
    this.from = stillness.matches ? null : before;
    this.since = performance.now();
    this.#frame();
  }

  points() {
    return positions(homesAfter(this.film, this.shown), this.clusters);
  }

  play() {
    const total = this.film.moves.length;
    const batch = Math.max(1, Math.ceil(total / BATCHES));
    clearInterval(this.timer);
    this.show(0);
    this.timer = setInterval(() => {
      if (this.shown >= total) clearInterval(this.timer);
      else this.show(this.shown + batch);
    }, FILM_MS / Math.ceil(total / batch || 1));
  }

  #frame() {
    const share = this.from ? Math.min(1, (performance.now() - this.since) / GLIDE_MS) : 1;
    this.draw(share);
    if (share < 1) requestAnimationFrame(() => this.#frame());
    else this.from = null;
  }

  draw(share = 1) {
    const { canvas } = this;
    const ratio = devicePixelRatio;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    const context = canvas.getContext("2d");
    const size = Math.min(canvas.width, canvas.height) / 2.1;
    const homes = homesAfter(this.film, this.shown);
    const goal = positions(homes, this.clusters);
    const at = goal.map(([x, y], place) => {
      const [fromX, fromY] = this.from?.[place] ?? [x, y];
      return [canvas.width / 2 + size * (fromX + (x - fromX) * share),
        canvas.height / 2 + size * (fromY + (y - fromY) * share)];
    });
    const heaviest = Math.max(1, ...this.snapshot.nets.map(([weight]) => weight));
    for (const crossing of [false, true]) {
      context.strokeStyle = colour(crossing ? "--bad" : "--line-strong");
      for (const [weight, ...ends] of this.snapshot.nets) {
        if (ends.some((end) => homes[end] !== homes[ends[0]]) !== crossing) continue;
        context.globalAlpha = crossing ? 0.35 + 0.4 * (weight / heaviest) : 0.25;
        context.lineWidth = ratio * (crossing ? 1.4 : 0.6);
        context.beginPath();
        for (const end of ends.slice(1)) {
          context.moveTo(...at[ends[0]]);
          context.lineTo(...at[end]);
        }
        context.stroke();
      }
    }
    context.globalAlpha = 1;
    const dot = Math.max(1.6, Math.min(4, 60 / Math.sqrt(homes.length + 1))) * ratio;
    for (const cluster of this.clusters) {
      context.fillStyle = colour(hue(cluster));
      context.beginPath();
      homes.forEach((home, place) => {
        if (home !== cluster) return;
        context.moveTo(at[place][0] + dot, at[place][1]);
        context.arc(at[place][0], at[place][1], dot, 0, 2 * Math.PI);
      });
      context.fill();
    }
    this.#labels(context, size, ratio);
    this.#say(homes);
  }

  #labels(context, size, ratio) {
    context.fillStyle = colour("--text");
    context.font = `600 ${12 * ratio}px Inter Variable, sans-serif`;
    context.textAlign = "center";
    const { width, height } = this.canvas;
    this.clusters.forEach((cluster, i) => {
      const angle = -Math.PI / 2 + (2 * Math.PI * i) / this.clusters.length;
      const far = this.clusters.length > 1 ? 1.0 : 0;
      context.fillText(`C${cluster}`, width / 2 + size * far * Math.cos(angle) * 1.02,
        height / 2 + size * far * Math.sin(angle) * 0.98 + 4 * ratio);
    });
  }

  #say(homes) {
    const { across, all } = cut(this.snapshot.nets, homes);
    const share = all ? (100 * across) / all : 0;
    const moves = this.film.moves.length;
    const words = `${count(homes.length)} of ${count(this.snapshot.vertices_total)} accounts with traffic, `
      + `${count(this.snapshot.nets.length)} ties. After ${count(this.shown)} of their ${count(moves)} moves `
      + `${share.toFixed(1)} % of the shown ties cross clusters (bold).`;
    text(find("[data-graph=text]"), words);
    attribute(this.canvas, "aria-label", words);
  }
}

/** @param {{store: import("../store.js").Store, onTheme: (listener: () => void) => void}} shell */
export function start({ store, onTheme }) {
  const key = find("[data-redistribution]").dataset.redistribution;
  const stepper = new Stepper(key);
  store.subscribe((view) => stepper.update(view));
  const chart = new ShareChart(find("[data-share]"));
  const button = find("[data-graph=play]");
  let graph = null;
  let course = null;
  let rows = null;
  show(button, false);
  button.addEventListener("click", () => graph?.play());
  onTheme(() => {
    chart.draw();
    graph?.draw();
    course?.draw();
  });

  async function graphOf(one) {
    const levels = await read(`redistributions/${key}/levels/`);
    if (!levels.snapshot?.vertices?.length) return;
    if (levels.course.length) course = new CourseChart(find("[data-course]"), levels.course);
    graph = new Graph(find("[data-graph=canvas]"), levels, one, (made) => course?.show(made));
    show(button, one.moves.length > 0);
  }

  repeat(async () => {
    const one = await read(`redistributions/${key}/`);
    chart.update(one);
    if (rows === null) rows = one.moves.length;
    else if (one.moves.length !== rows && one.moves.length) location.reload();
    if (!graph && one.moves.length) await graphOf(one);
    if (graph && ["running", "done", "aborted", "failed"].includes(one.status)) {
      graph.show(Math.round((graph.film.moves.length * one.progress.moved) / Math.max(1, one.progress.total)));
    }
    return !["done", "refused", "failed", "aborted"].includes(one.status);
  }, EVERY_MS, (error) => text(find("[data-share-text]"), error.message));
}
