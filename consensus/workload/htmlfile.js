"use strict";
/* Draws the charts of a benchmark's report from the document that the report carries. */
(() => {
  const result = JSON.parse(document.getElementById("result").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const settings = { responsive: true, displaylogo: false, toImageButtonOptions: { format: "png", scale: 2 } };

  function hues() {
    return dark.matches ? ["#3fa4e0", "#f08a3c", "#2fc79b", "#dd96be"] : ["#0072b2", "#d55e00", "#009e73", "#b8578f"];
  }

  function layout(x, y) {
    const style = getComputedStyle(document.documentElement);
    const text = dark.matches ? "#e6eaf0" : "#15191f";
    const line = dark.matches ? "#2a323d" : "#d8dee5";
    const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { t: 10, r: 12, b: 44, l: 56 },
      font: { family: style.fontFamily, size: 12, color: text }, legend: { orientation: "h", y: -0.22 }, height: 330,
      xaxis: { ...axis, ...x }, yaxis: { ...axis, rangemode: "tozero", ...y },
    };
  }

  function lines(x, y, name, hue, more) {
    return { x, y, name, mode: "lines", line: { color: hue, width: 2 }, ...more };
  }

  function timeline() {
    const bin = result.timeline.bin_ms;
    const succeeded = result.timeline.succeeded.slice(0, Math.max(1, Math.floor(result.duration_s * 1000 / bin)));
    return [[lines(succeeded.map((_, i) => (i * bin) / 1000), succeeded.map((n) => (n * 1000) / bin), "per second", hues()[0],
      { hovertemplate: "%{x:.1f} s: %{y:.0f}/s" })], layout({ title: { text: "s" } }, { title: { text: "per second" } })];
  }

  function distribution() {
    const rows = result.distribution;
    // The x axis is 1 / (share of operations above), so that each nine has the same room.
    return [[lines(rows.map(([at]) => 1 / Math.max(1e-4, 1 - Math.min(at, 99.99) / 100)), rows.map(([, ms]) => ms), "all",
      hues()[0], { text: rows.map(([at]) => `p${at}`), hovertemplate: "%{text}: %{y} ms" })],
    layout({ type: "log", title: { text: "percentile" }, tickvals: [1, 2, 10, 100, 1000, 10000],
      ticktext: ["0", "50", "90", "99", "99.9", "99.99"] }, { title: { text: "ms" } })];
  }

  function kinds() {
    const found = Object.entries({ ...result.by_kind, ...result.by_operation }).filter(([, kind]) => kind.latency_ms.mean !== null);
    const words = { intra: "within a cluster", cross: "across clusters", read: "reads" };
    const names = found.map(([name]) => (name in result.by_kind ? words[name] : name.replaceAll("_", " ")));
    return [["p50", "p95", "p99"].map((which, i) => ({
      type: "bar", name: which, x: names, y: found.map(([, kind]) => kind.latency_ms[which]), marker: { color: hues()[i] },
      hovertemplate: "%{x}: %{y} ms",
    })), layout({}, { title: { text: "ms" } })];
  }

  function sweep() {
    return [["p50", "p95", "p99"].map((which, i) => lines(
      result.sweep.map((row) => row.throughput_tps), result.sweep.map((row) => row[which]), which, hues()[i],
      { mode: "lines+markers", hovertemplate: `%{x:.0f}/s: ${which} %{y} ms` },
    )), layout({ title: { text: "per second" }, rangemode: "tozero" }, { title: { text: "ms" } })];
  }

  const charts = { timeline, distribution, kinds, sweep };
  function draw() {
    for (const root of document.querySelectorAll("[data-chart]")) {
      globalThis.Plotly.react(root, ...charts[root.dataset.chart](), settings);
    }
  }
  draw();
  dark.addEventListener("change", draw);
})();
