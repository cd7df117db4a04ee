/** Curves of several benchmarks, drawn with Plotly, which is loaded when there is something to draw. */

import { colour, find, make, show } from "../dom.js";
import { read } from "../rest.js";

const HUES = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"];
const DASHES = ["solid", "dash", "dot", "dashdot"];

function plotly(address) {
  return new Promise((resolve, reject) => {
    const script = make("script", { src: address });
    script.addEventListener("load", () => resolve(globalThis.Plotly));
    script.addEventListener("error", () => reject(new Error("Plotly could not be loaded")));
    document.head.append(script);
  });
}

function layout(x, y) {
  const text = colour("--text");
  const line = colour("--line");
  const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { t: 10, r: 16, b: 50, l: 60 },
    font: { family: "Inter Variable, sans-serif", size: 12, color: text }, legend: { orientation: "h", y: -0.25 },
    xaxis: { ...axis, ...x }, yaxis: { ...axis, ...y }, height: 350,
  };
}

/** @param {{onTheme: (listener: () => void) => void}} shell */
export async function start({ onTheme }) {
  const box = find("[data-compare]");
  const keys = box.dataset.compare.split(",").filter(Boolean);
  if (!keys.length) return;
  const runs = await Promise.all(keys.map((key) => read(`benchmarks/${key}/`)));
  const library = await plotly(box.dataset.plotly);
  const settings = { responsive: true, displaylogo: false, showSendToCloud: false, toImageButtonOptions: { format: "png" } };

  function style(index) {
    return {
      line: { color: colour(HUES[index % HUES.length]), width: 2, dash: DASHES[index % DASHES.length] },
      marker: { color: colour(HUES[index % HUES.length]), size: 6 },
    };
  }

  function draw() {
    const curves = runs.map((run, index) => ({
      x: run.result.distribution.map(([at]) => 1 / Math.max(1e-4, 1 - Math.min(at, 99.99) / 100)),
      y: run.result.distribution.map(([, ms]) => ms),
      text: run.result.distribution.map(([at]) => `p${at}`),
      hovertemplate: "%{text}: %{y} ms", name: `${run.id}: ${run.name}`, mode: "lines", ...style(index),
    }));
    library.react(find("[data-plot=distribution]"), curves, layout(
      { type: "log", title: { text: "percentile" }, tickvals: [1, 2, 10, 100, 1000, 10000],
        ticktext: ["0", "50", "90", "99", "99.9", "99.99"] },
      { title: { text: "ms" }, rangemode: "tozero" },
    ), settings);
    const swept = runs.filter((run) => run.result.sweep?.length);
    show(find("[data-plot=sweep]"), swept.length > 0);
    show(find("[data-plot-text]"), swept.length === 0);
    if (!swept.length) return;
    library.react(find("[data-plot=sweep]"), swept.map((run, index) => ({
      x: run.result.sweep.map((row) => row.throughput_tps), y: run.result.sweep.map((row) => row.p99),
      name: `${run.id}: ${run.name}`, mode: "lines+markers", hovertemplate: "%{x:.0f}/s: p99 %{y} ms", ...style(index),
    })), layout({ title: { text: "per second" }, rangemode: "tozero" }, { title: { text: "p99 ms" }, rangemode: "tozero" }),
    settings);
  }
  draw();
  onTheme(draw);
}
