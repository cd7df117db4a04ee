/** Figures over the seconds of a run, drawn with uPlot: a cursor by pointer or arrow keys, and a picture to keep. */

import { attribute, colour, make } from "../dom.js";
import { count } from "../format.js";

const PLOT_HEIGHT = 200;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };

export class TimeChart {
  /**
   * @param {HTMLElement} root focusable, `role=img`
   * @param {{label: string, format: (value: number) => string, lines: [string, string, number][]}} spec lines: label,
   *   name of its colour, column of the rows; column 0 is the second
   */
  constructor(root, spec) {
    this.root = root;
    this.spec = spec;
    this.rows = [];
    this.at = null;
    new ResizeObserver(() => this.plot?.setSize(this.#size())).observe(root);
    root.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("blur", () => this.#point(null));
    this.draw();
  }

  /** Take other rows in; those of before are their beginning, or gone. */
  show(rows) {
    const before = this.rows.length;
    this.rows = rows;
    if (before) this.plot.setData(this.#data());
    else this.draw();
    this.#say();
  }

  /** Make the plot anew, with the colours of the present theme. */
  draw() {
    this.plot?.destroy();
    const { lines, format } = this.spec;
    const axis = {
      stroke: colour("--muted"), font: "11px Inter Variable, sans-serif",
      grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
    };
    this.plot = new globalThis.uPlot({
      ...this.#size(),
      padding: [8, 16, 0, 0],
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(4, high ?? 0) * 1.1] } },
      axes: [
        { ...axis, size: 30, values: (_, ticks) => ticks.map((tick) => `${tick} s`) },
        { ...axis, size: 54, values: (_, ticks) => ticks.map((tick) => count(tick)) },
      ],
      series: [
        { label: "time", value: (_, value) => (value === null ? "–" : `${value} s`) },
        ...lines.map(([label, name]) => ({
          label, stroke: colour(name), width: 1.8, points: { show: false },
          value: (_, value) => (value === null || value === undefined ? "–" : format(value)),
        })),
      ],
    }, this.#data(), this.root);
    this.#say();
  }

  /** Let the visitor keep the chart as a picture, on the page's ground. */
  save(name) {
    const { canvas } = this.plot.ctx;
    const picture = make("canvas", { width: canvas.width, height: canvas.height });
    const ground = picture.getContext("2d");
    ground.fillStyle = colour("--surface");
    ground.fillRect(0, 0, picture.width, picture.height);
    ground.drawImage(canvas, 0, 0);
    picture.toBlob((blob) => {
      const link = make("a", { href: URL.createObjectURL(blob), download: name });
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }

  #data() {
    if (!this.rows.length) return [[0, 1], ...this.spec.lines.map(() => [null, null])];
    return [this.rows.map(([at]) => at), ...this.spec.lines.map(([, , column]) => this.rows.map((row) => row[column]))];
  }

  #key(event) {
    const last = this.rows.length - 1;
    if (last < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Home") this.#point(0);
    else if (event.key === "End") this.#point(last);
    else if (event.key in STEPS) this.#point(Math.min(last, Math.max(0, (this.at ?? last) + STEPS[event.key])));
    else return;
    event.preventDefault();
  }

  #point(at) {
    this.at = at;
    const left = at === null ? -10 : this.plot.valToPos(this.rows[at][0], "x");
    this.plot.setCursor({ left, top: at === null ? -10 : PLOT_HEIGHT / 4 });
    this.#say();
  }

  #say() {
    const { label, lines, format } = this.spec;
    const row = this.at === null ? this.rows.at(-1) : this.rows[this.at];
    const when = this.at === null ? "at last" : `at ${row[0]} s`;
    const words = lines.map(([name, , column]) => `${name} ${row && row[column] !== null ? format(row[column]) : "–"}`);
    attribute(this.root, "aria-label", `${label}, ${when}: ${words.join(", ")}. Arrow keys move along it.`);
  }

  #size() {
    return { width: Math.max(160, this.root.clientWidth - 16), height: PLOT_HEIGHT };
  }
}

/** Rows that are not in the table yet go in; a table of other rows begins anew. */
export function fillTable(body, rows, formats) {
  if (body.rows.length > rows.length || (body.rows.length && body.rows[0].dataset.at !== String(rows[0][0]))) body.replaceChildren();
  for (const row of rows.slice(body.rows.length)) {
    const cells = row.map((value, column) => {
      const shown = value === null ? "–" : formats[column](value);
      return column ? make("td", { class: "num" }, shown) : make("th", { scope: "row" }, shown);
    });
    body.append(make("tr", { "data-at": row[0] }, ...cells));
  }
}
