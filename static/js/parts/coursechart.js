/** What is cut and how uneven the clusters are while a plan's moves are made, drawn with uPlot. */

import { attribute, colour } from "../dom.js";
import { count } from "../format.js";

const PLOT_HEIGHT = 200;
const percent = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(1)} %`);

/**
 * Columns for the chart: moves made, what is cut as a percentage of the beginning, imbalance of load and of accounts.
 * Rows after `made` moves hold null, but the axis reaches to the end of the plan.
 * @param {number[][]} course rows [moves, km1, load imbalance, account imbalance]
 */
export function columns(course, made) {
  const first = Math.max(1, course[0]?.[1] ?? 1);
  const upTo = (value) => course.map((row) => (row[0] <= made ? value(row) : null));
  return [
    course.map(([moves]) => moves),
    upTo(([, km1]) => (100 * km1) / first), upTo(([, , load]) => load), upTo(([, , , accounts]) => accounts),
  ];
}

export class CourseChart {
  /** @param {number[][]} course see {@link columns} */
  constructor(root, course) {
    this.root = root;
    this.course = course;
    this.made = 0;
    new ResizeObserver(() => this.plot?.setSize(this.#size())).observe(root);
    this.draw();
  }

  /** Follow to the state after `made` of the plan's moves. */
  show(made) {
    this.made = made;
    this.plot.setData(columns(this.course, made));
    this.#say();
  }

  /** Make the plot anew, with the colours of the present theme. */
  draw() {
    this.plot?.destroy();
    const axis = {
      stroke: colour("--muted"), font: "11px Inter Variable, sans-serif",
      grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
    };
    const line = (label, name, dash) => ({
      label, stroke: colour(name), width: dash ? 1.4 : 2, dash, points: { show: false }, value: (_, value) => percent(value),
    });
    this.plot = new globalThis.uPlot({
      ...this.#size(),
      padding: [8, 22, 0, 0],
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      scales: { x: { time: false }, y: { range: [0, 105] } },
      axes: [
        { ...axis, size: 30, space: 70, values: (_, ticks) => ticks.map(count) },
        { ...axis, size: 46, values: (_, ticks) => ticks.map((tick) => `${tick} %`) },
      ],
      series: [
        { label: "moves", value: (_, value) => (value === null ? "–" : count(value)) },
        line("cut, of the start", "--c1"), line("load imbalance", "--c2", [6, 4]), line("account imbalance", "--c3", [2, 3]),
      ],
    }, columns(this.course, this.made), this.root);
    this.#say();
  }

  #say() {
    const [moves, km1, load, accounts] = this.course.findLast(([made]) => made <= this.made) ?? this.course[0];
    attribute(this.root, "aria-label",
      `After ${count(moves)} moves ${percent((100 * km1) / Math.max(1, this.course[0][1]))} of what was cut is still cut; `
      + `load is ${percent(load)} and accounts are ${percent(accounts)} above the mean in the heaviest cluster.`);
  }

  #size() {
    return { width: Math.max(160, this.root.clientWidth - 16), height: PLOT_HEIGHT };
  }
}
