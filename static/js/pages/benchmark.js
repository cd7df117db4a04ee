/** One benchmark while it runs and afterwards: throughput and latency over its time, as charts and as a table. */

import { find, findAll } from "../dom.js";
import { count, millis } from "../format.js";
import { TimeChart, fillTable } from "../parts/timechart.js";
import { read, repeat } from "../rest.js";

const EVERY_MS = 1_000;
const CHARTS = {
  rate: { label: "Operations per second", format: count, lines: [["per second", "--c1", 1]] },
  latency: { label: "Latency in ms", format: millis, lines: [["p50", "--c3", 2], ["p99", "--c4", 3]] },
};

/** @param {{onTheme: (listener: () => void) => void}} shell */
export function start({ onTheme }) {
  const key = find("[data-benchmark]").dataset.benchmark;
  const charts = Object.fromEntries(
    Object.entries(CHARTS).map(([name, spec]) => [name, new TimeChart(find(`[data-course=${name}]`), spec)]),
  );
  onTheme(() => Object.values(charts).forEach((chart) => chart.draw()));
  for (const button of findAll("[data-picture]")) {
    button.addEventListener("click", () => charts[button.dataset.picture].save(`benchmark-${key}-${button.dataset.picture}.png`));
  }
  repeat(async () => {
    const one = await read(`benchmarks/${key}/`);
    for (const chart of Object.values(charts)) chart.show(one.course);
    fillTable(find("[data-course-rows]"), one.course, [(at) => `${at}`, count, millis, millis]);
    return !["done", "failed", "cancelled"].includes(one.status);
  }, EVERY_MS, () => {});
}
