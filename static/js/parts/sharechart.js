/** The share across clusters and the throughput, second by second, each with what was predicted. Drawn with uPlot. */

import { attribute, colour, find, text } from "../dom.js";
import { count } from "../format.js";

const PLOT_HEIGHT = 250;
const percent = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(1)} %`);
const rate = (value) => (value === null || value === undefined ? "–" : `${count(Math.round(value))} /s`);

/**
 * Columns for the chart: seconds since the moves began, or until now while there are none, share measured, before and
 * predicted, throughput measured and predicted. What is predicted holds from the beginning of the moves on.
 * @param {object} one the document of a redistribution
 */
export function columns(one) {
  const rows = one.series.length ? one.series : [[0], [1]];
  const begun = rows.some(([at]) => at >= 0);
  const after = (value) => rows.map(([at]) => (at >= 0 || !begun ? (value ?? null) : null));
  return [
    rows.map(([at]) => at),
    rows.map(([, share]) => share ?? null), rows.map(() => one.before?.cross_shard_pct ?? null),
    after(one.predicted?.cross_shard_pct),
    rows.map(([, , , tps]) => tps ?? null), after(one.predicted?.throughput_tps),
  ];
}

/** What the chart shows, in words. */
export function words(one) {
  const last = one.series.findLast(([, share]) => share !== null && share !== undefined);
  if (!last) return "Nothing measured yet.";
  const [, share, , tps] = last;
  const compared = [
    one.before ? `Before ${percent(one.before.cross_shard_pct)}` : "",
    one.predicted ? `predicted ${percent(one.predicted.cross_shard_pct)}` : "",
  ].filter(Boolean).join(", ");
  const speed = tps ? ` ${rate(tps)} committed` : "";
  const faster = tps && one.before?.throughput_tps && one.started
    ? `, ${(tps / one.before.throughput_tps).toFixed(1)} times as many as before` : "";
  const hoped = one.predicted?.throughput_tps ? `; expected ${rate(one.predicted.throughput_tps)}` : "";
  return `Now ${percent(share)} across clusters.${compared ? ` ${compared}.` : ""}${speed}${faster}${speed ? hoped : ""}${speed ? "." : ""}`;
}

export class ShareChart {
  constructor(root) {
    this.root = root;
    new ResizeObserver(() => this.plot?.setSize(this.#size())).observe(root);
  }

  /** @param {object} one the document of a redistribution */
  update(one) {
    this.data = columns(one);
    if (this.plot) this.plot.setData(this.data);
    else this.draw();
    const said = words(one);
    text(find("[data-share-text]"), said);
    attribute(this.root, "aria-label", `Share across clusters and throughput. ${said}`);
  }

  /** Make the plot anew, with the colours of the present theme. */
  draw() {
    if (!this.data) return;
    this.plot?.destroy();
    const axis = {
      stroke: colour("--muted"), font: "11px Inter Variable, sans-serif",
      grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
    };
    const line = (label, name, scale, dash) => ({
      label, scale, stroke: colour(name), width: dash ? 1.4 : 2, dash, spanGaps: true, points: { show: false },
      value: (_, value) => (scale === "tps" ? rate(value) : percent(value)),
    });
    const upwards = (least) => (_, low, high) => [0, Math.max(least, high ?? 0) * 1.1];
    this.plot = new globalThis.uPlot({
      ...this.#size(),
      padding: [8, 8, 0, 0],
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      scales: { x: { time: false }, y: { range: upwards(10) }, tps: { range: upwards(10) } },
      axes: [
        { ...axis, size: 30, values: (_, ticks) => ticks.map((tick) => `${tick} s`) },
        { ...axis, size: 46, values: (_, ticks) => ticks.map((tick) => `${tick} %`) },
        { ...axis, side: 1, scale: "tps", size: 58, grid: { show: false }, values: (_, ticks) => ticks.map((tick) => `${count(tick)}/s`) },
      ],
      series: [
        { label: "since the moves began", value: (_, value) => (value === null ? "–" : `${value} s`) },
        line("across", "--c1", "y"), line("before", "--muted", "y", [2, 4]), line("predicted", "--c1", "y", [6, 4]),
        line("throughput", "--c2", "tps"), line("expected", "--c2", "tps", [6, 4]),
      ],
    }, this.data, this.root);
  }

  #size() {
    return { width: Math.max(160, this.root.clientWidth - 16), height: PLOT_HEIGHT };
  }
}
