/** Throughput and latency over the last minutes, drawn with uPlot once a second. */

import { attribute, colour, find, make, text } from "../dom.js";
import { millis, rate } from "../format.js";
import { chartSeries } from "../select.js";

export const CHART_SECONDS = 180;
/** Seconds in the table beside a chart. */
const TABLE_SECONDS = 10;
/** The axis reaches at least this far, so that a quiet bank does not look busy. */
const LEAST_TOP = 4;

const CHARTS = {
  throughput: {
    label: "Throughput", unit: "per second", format: rate,
    lines: [
      { key: "committed", label: "committed", colour: "--c1" },
      { key: "aborted", label: "aborted", colour: "--c2", dash: [5, 4] },
    ],
  },
  latency: {
    label: "Latency", unit: "ms", format: millis,
    lines: [
      { key: "p50", label: "p50", colour: "--c3" },
      { key: "p99", label: "p99", colour: "--c4", dash: [5, 4] },
    ],
  },
};

const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

class Chart {
  constructor(root, spec) {
    this.root = root;
    this.spec = spec;
    this.second = 0;
    root.setAttribute("role", "img");
    new ResizeObserver(() => this.#resize()).observe(root);
  }

  update(view) {
    const second = Math.floor(view.ts / 1_000_000);
    if (second === this.second || second === 0) return;
    this.second = second;
    this.rows = chartSeries(view, CHART_SECONDS);
    this.data = [this.rows.time, ...this.spec.lines.map((line) => this.rows[line.key])];
    if (this.plot) this.plot.setData(this.data);
    else this.draw();
    this.#showLast();
    this.#say();
  }

  /** Make the plot anew, with the colours of the present theme. */
  draw() {
    if (!this.data) return;
    this.plot?.destroy();
    const axis = {
      stroke: colour("--muted"), font: "11px Inter Variable, sans-serif",
      grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
    };
    const { format } = this.spec;
    this.plot = new globalThis.uPlot({
      ...this.#size(),
      padding: [8, 22, 0, 0],
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      legend: { live: true },
      scales: { y: { range: (_, low, high) => [0, Math.max(LEAST_TOP, high ?? 0) * 1.1] } },
      axes: [
        { ...axis, space: 70, values: "{HH}:{mm}:{ss}", size: 30 },
        { ...axis, size: 46, space: 36, values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
      ],
      series: [
        { label: "time", value: "{HH}:{mm}:{ss}" },
        ...this.spec.lines.map((line) => ({
          label: line.label, stroke: colour(line.colour), width: 1.6, dash: line.dash, spanGaps: false,
          points: { show: false }, value: (_, value) => (value === null ? "–" : format(value)),
        })),
      ],
    }, this.data, this.root);
  }

  #size() {
    const legend = 26;
    return { width: Math.max(160, this.root.clientWidth - 16), height: Math.max(90, this.root.clientHeight - legend - 12) };
  }

  /** While nobody points at the plot its legend gives the values of the last second. */
  #showLast() {
    if ((this.plot.cursor.left ?? -1) < 0) this.plot.setLegend({ idx: this.rows.time.length - 1 });
  }

  #resize() {
    this.plot?.setSize(this.#size());
  }

  /** What the picture shows, in words and as a table. */
  #say() {
    const { label, unit, format, lines } = this.spec;
    const last = lines.map((line) => `${line.label} ${format(this.rows[line.key].at(-1) ?? null) }`);
    attribute(this.root, "aria-label", `${label}, ${unit}, last second: ${last.join(", ")}`);
    const details = this.root.parentElement.querySelector("details");
    if (!details?.open) return;
    const from = this.rows.time.length - TABLE_SECONDS;
    find("tbody", details).replaceChildren(...this.rows.time.slice(from).map((time, index) => make("tr", {},
      make("td", {}, new Date(time * 1000).toLocaleTimeString("en-GB")),
      ...lines.map((line) => make("td", { class: "num" }, format(this.rows[line.key][from + index]))))));
  }
}

/** @returns {{update: (view: object) => void, recolour: () => void}} */
export function startCharts() {
  const charts = Object.entries(CHARTS)
    .map(([name, spec]) => [find(`[data-chart=${name}]`), spec])
    .filter(([root]) => root)
    .map(([root, spec]) => new Chart(root, spec));
  return {
    update: (view) => charts.forEach((chart) => chart.update(view)),
    recolour: () => charts.forEach((chart) => chart.draw()),
  };
}

/** Writes the figures of now into the elements named by `data-kpi`. */
export function showFigures(values) {
  const words = {
    committed: rate(values.committed), aborted: rate(values.aborted), p50: millis(values.p50),
    p99: millis(values.p99), messages: rate(values.messages), elections: String(values.elections),
  };
  for (const [name, value] of Object.entries(words)) text(find(`[data-kpi=${name}]`), value);
}
