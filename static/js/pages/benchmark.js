/** One benchmark while it runs and afterwards: throughput and latency over its time. */

import { attribute, colour, find } from "../dom.js";
import { count, millis } from "../format.js";
import { read, repeat } from "../rest.js";

const EVERY_MS = 1_000;
const PLOT_HEIGHT = 200;
const CHARTS = {
  rate: { label: "Operations per second", format: count, lines: [["per second", "--c1", 1]] },
  latency: { label: "Latency in ms", format: millis, lines: [["p50", "--c3", 2], ["p99", "--c4", 3]] },
};

/** @param {{onTheme: (listener: () => void) => void}} shell */
export function start({ onTheme }) {
  const key = find("[data-benchmark]").dataset.benchmark;
  const charts = Object.entries(CHARTS).map(([name, spec]) => ({ root: find(`[data-course=${name}]`), spec }));
  let rows = [];

  function size(root) {
    return { width: Math.max(160, root.clientWidth - 16), height: PLOT_HEIGHT };
  }

  function draw() {
    const axis = {
      stroke: colour("--muted"), font: "11px Inter Variable, sans-serif",
      grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
    };
    const times = rows.length ? rows.map(([at]) => at) : [0, 1];
    for (const chart of charts) {
      const { root, spec } = chart;
      const data = [times, ...spec.lines.map(([, , column]) => (rows.length ? rows.map((row) => row[column]) : [null, null]))];
      chart.plot?.destroy();
      chart.plot = new globalThis.uPlot({
        ...size(root),
        padding: [8, 16, 0, 0],
        cursor: { points: { size: 6 }, drag: { x: false, y: false } },
        scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(4, high ?? 0) * 1.1] } },
        axes: [
          { ...axis, size: 30, values: (_, ticks) => ticks.map((tick) => `${tick} s`) },
          { ...axis, size: 54, values: (_, ticks) => ticks.map((tick) => count(tick)) },
        ],
        series: [
          { label: "time", value: (_, value) => (value === null ? "–" : `${value} s`) },
          ...spec.lines.map(([label, name]) => ({
            label, stroke: colour(name), width: 1.8, points: { show: false },
            value: (_, value) => (value === null || value === undefined ? "–" : spec.format(value)),
          })),
        ],
      }, data, root);
      const last = rows.at(-1);
      const words = spec.lines.map(([label, , column]) => `${label} ${last ? spec.format(last[column]) : "–"}`);
      attribute(root, "aria-label", `${spec.label}, at last: ${words.join(", ")}`);
    }
  }

  for (const { root } of charts) {
    new ResizeObserver(() => charts.forEach((chart) => chart.plot?.setSize(size(chart.root)))).observe(root);
  }
  onTheme(draw);
  repeat(async () => {
    const one = await read(`benchmarks/${key}/`);
    rows = one.course;
    draw();
    return !["done", "failed", "cancelled"].includes(one.status);
  }, EVERY_MS, () => {});
}
