/** Draws the waterfall of one transaction, the table of its steps beside it, and a cursor over both. */

import { attribute, find, make, show, svg, text } from "../dom.js";
import { millis } from "../format.js";
import { MARKS, MESSAGES, PHASES, ticks } from "../waterfall.js";

const LABEL_PX = 112;
const RIGHT_PX = 14;
const TOP_PX = 26;
const ROW_PX = 30;
/** Where a node's role is written, behind a name of one digit and of more. */
const ROLE_PX = 34;
const ROLE_WIDE_PX = 42;
const BAR_PX = 14;
const TICK_PX = 90;
const TICKS_MAX = 8;
export const GLYPHS = { submit: "?", lock: "P", vote: "V", decide: "D", apply: "■", reply: "!" };

/** Scroll the table, and nothing around it, so that a line of it is seen. */
function keepInView(table, line) {
  const head = find("thead", table).offsetHeight;
  if (line.offsetTop - head < table.scrollTop) table.scrollTop = line.offsetTop - head;
  const below = line.offsetTop + line.offsetHeight - table.clientHeight;
  if (below > table.scrollTop) table.scrollTop = below;
}

export class Waterfall {
  /** @param {HTMLElement} root @param {(event: object) => string | null} narrate */
  constructor(root, narrate) {
    this.root = root;
    this.narrate = narrate;
    this.chart = null;
    this.index = -1;
    /** Told of the moment (ms) that a reader has gone to. */
    this.onstep = () => {};
    this.frame = find("[data-waterfall-frame]", root);
    this.hint = find("[data-waterfall-step]", root).textContent;
    this.frame.addEventListener("keydown", (event) => this.#key(event));
    find("[data-waterfall-back]", root).addEventListener("click", () => this.#go(this.index - 1));
    find("[data-waterfall-on]", root).addEventListener("click", () => this.#go(this.index + 1));
    new ResizeObserver(() => this.#draw()).observe(this.frame);
  }

  /** Show another state of knowledge; `chart` is what waterfall() gave. */
  update(chart) {
    this.chart = chart;
    this.#draw();
    this.#table();
    this.#legend();
  }

  /** Show nothing: another transaction follows, or none. */
  leave() {
    this.chart = null;
    this.index = -1;
    this.frame.replaceChildren();
    find("[data-waterfall-rows]", this.root).replaceChildren();
    text(find("[data-waterfall-step]", this.root), this.hint);
  }

  get #x() {
    const width = Math.max(200, this.frame.clientWidth - LABEL_PX - RIGHT_PX);
    return (ms) => LABEL_PX + (ms / this.chart.span) * width;
  }

  #draw() {
    if (!this.chart || this.frame.clientWidth === 0) return;
    const { lanes } = this.chart;
    const width = Math.max(200 + LABEL_PX + RIGHT_PX, this.frame.clientWidth);
    const height = TOP_PX + lanes.length * ROW_PX + 8;
    const title = `Waterfall over ${millis(this.chart.span)} ms and ${lanes.length - 1} nodes; the table below has every step`;
    const picture = svg("svg", {
      width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, class: "waterfall",
    });
    picture.append(...this.#axis(width, height), ...this.#lanes(width), ...this.#bars(), ...this.#arrows(), ...this.#marks());
    this.cursor = svg("line", { class: "wf-cursor", y1: TOP_PX - 6, y2: height - 4 });
    picture.append(this.cursor);
    this.frame.replaceChildren(picture);
    this.#point();
  }

  #axis(width, height) {
    const most = Math.min(TICKS_MAX, Math.max(2, Math.floor((width - LABEL_PX) / TICK_PX)));
    return ticks(this.chart.span, most).flatMap((ms) => {
      const x = this.#x(ms);
      return [
        svg("line", { class: "wf-grid", x1: x, x2: x, y1: TOP_PX - 6, y2: height - 4 }),
        svg("text", { class: "wf-tick", x, y: 12, "text-anchor": ms === 0 ? "start" : "middle" }, `${Number(ms.toPrecision(3))} ms`),
      ];
    });
  }

  #y = (lane) => TOP_PX + lane * ROW_PX + ROW_PX / 2;

  #lanes(width) {
    const wide = this.chart.lanes.some(({ node }) => node > 9);
    return this.chart.lanes.flatMap((lane, index) => {
      const y = this.#y(index);
      const starts = index > 0 && lane.cluster !== this.chart.lanes[index - 1].cluster;
      const name = lane.cluster ? `n${lane.node}` : "client";
      const about = { coordinator: lane.first ? "leader" : "coordinates", participant: "takes part", replica: "replica", client: "" };
      const group = svg("g", lane.cluster ? { "data-hue": lane.cluster } : {});
      if (lane.cluster) group.append(svg("rect", { class: "wf-stripe", x: 0, y: y - ROW_PX / 2 + 1, width: 4, height: ROW_PX - 2 }));
      group.append(svg("text", { class: "wf-name", x: 10, y: y + 4 }, name));
      group.append(svg("text", { class: "wf-role", x: wide ? ROLE_WIDE_PX : ROLE_PX, y: y + 4 }, lane.cluster ? about[lane.role] : ""));
      const line = svg("line", { class: starts ? "wf-lane wf-first" : "wf-lane", x1: 0, x2: width, y1: y - ROW_PX / 2, y2: y - ROW_PX / 2 });
      return [line, group];
    });
  }

  #bars() {
    return this.chart.bars.map((bar) => {
      const x = this.#x(bar.from);
      const thin = bar.phase === "locks";
      const high = thin ? 4 : BAR_PX;
      const y = this.#y(bar.lane) + (thin ? BAR_PX / 2 + 1 : -BAR_PX / 2 - 1);
      const lane = this.chart.lanes[bar.lane];
      const what = `${lane.cluster ? `n${lane.node}` : "client"}: ${PHASES[bar.phase] ?? "waits for the answer"}, ${millis(bar.to - bar.from)} ms`;
      const attributes = {
        class: `wf-bar wf-${bar.phase}`, x, y, width: Math.max(2, this.#x(bar.to) - x), height: high, rx: 2,
      };
      if (lane.cluster) attributes["data-hue"] = lane.cluster;
      return svg("rect", attributes, svg("title", {}, what));
    });
  }

  #arrows() {
    return this.chart.arrows.flatMap((arrow) => {
      const [x1, x2] = [this.#x(arrow.sent), this.#x(arrow.got)];
      const down = arrow.to > arrow.from ? 1 : -1;
      const y1 = this.#y(arrow.from) + down * (BAR_PX / 2);
      const y2 = this.#y(arrow.to) - down * (BAR_PX / 2 + 3);
      const what = `${MESSAGES[arrow.m] ?? arrow.m}: ${millis(arrow.got - arrow.sent)} ms on the way`;
      const head = `M${x2 - 3.5},${y2 - down * 5} L${x2},${y2} L${x2 + 3.5},${y2 - down * 5}`;
      return [
        svg("line", { class: `wf-arrow wf-${arrow.m.replace(".", "-")}`, x1, x2, y1, y2 }, svg("title", {}, what)),
        svg("path", { class: "wf-head", d: head }),
      ];
    });
  }

  #marks() {
    return this.chart.marks.map((mark) => {
      const attributes = { class: mark.no ? "wf-mark wf-no" : "wf-mark", x: this.#x(mark.at), y: this.#y(mark.lane) + 3, "text-anchor": "middle" };
      const words = `${MARKS[mark.mark]}${mark.no ? " (no)" : ""} at ${millis(mark.at)} ms`;
      return svg("text", attributes, mark.no ? "×" : GLYPHS[mark.mark], svg("title", {}, words));
    });
  }

  #table() {
    const body = find("[data-waterfall-rows]", this.root);
    body.replaceChildren(...this.chart.rows.map((row, index) => {
      const line = make("tr", {},
        make("td", { class: "num" }, millis(row.at)),
        make("td", {}, `n${row.node}`),
        make("td", {}, this.#sentence(row.event)));
      line.addEventListener("click", () => this.#go(index));
      return line;
    }));
    show(find("[data-waterfall-table]", this.root), this.chart.rows.length > 0);
  }

  #sentence(event) {
    return this.narrate(event) ?? event.k;
  }

  #legend() {
    const used = [...new Set(this.chart.bars.map((bar) => bar.phase))].filter((phase) => phase in PHASES);
    find("[data-waterfall-legend]", this.root).replaceChildren(...Object.keys(PHASES).filter((phase) => used.includes(phase)).map((phase) =>
      make("li", {}, make("span", { class: `wf-swatch wf-${phase}`, "aria-hidden": "true" }), PHASES[phase])));
  }

  // --- the cursor -------------------------------------------------------------------------------------

  #key(event) {
    const moves = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key in moves) this.#go(this.index + moves[event.key]);
    else if (event.key === "Home") this.#go(0);
    else if (event.key === "End") this.#go(this.chart.rows.length - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Go to the last step that is not later than a time (UTC microseconds): the cursor follows a time bar. */
  follow(time) {
    if (this.chart) this.#go(Math.max(0, this.chart.rows.findLastIndex(({ event }) => event.ts <= time)));
  }

  /** Steps that pass by are shown, but not read out. */
  hush(quiet) {
    attribute(find("[data-waterfall-step]", this.root), "aria-live", quiet ? "off" : "polite");
  }

  /** Stand at a moment of slow motion, `row` being the last step before it, -1 for none. */
  stand(at, row) {
    this.#place(Math.min(this.chart.span, Math.max(0, at)));
    if (row === this.index) return;
    this.index = row;
    this.#say();
  }

  #go(index) {
    if (!this.chart?.rows.length) return;
    this.index = Math.min(this.chart.rows.length - 1, Math.max(0, index));
    this.#point();
    this.onstep(this.chart.rows[this.index].at);
  }

  #point() {
    const row = this.chart.rows[this.index];
    attribute(this.cursor, "visibility", row ? null : "hidden");
    if (!row) return;
    this.#place(row.at);
    this.#say();
  }

  #place(at) {
    const x = this.#x(at);
    attribute(this.cursor, "visibility", null);
    attribute(this.cursor, "x1", x);
    attribute(this.cursor, "x2", x);
  }

  #say() {
    const row = this.chart.rows[this.index];
    const words = row
      ? `Step ${this.index + 1} of ${this.chart.rows.length}, ${millis(row.at)} ms: ${this.#sentence(row.event)}`
      : "Before the first step: the request is on its way.";
    text(find("[data-waterfall-step]", this.root), words);
    const table = find("[data-waterfall-table]", this.root);
    for (const [number, line] of [...find("[data-waterfall-rows]", this.root).children].entries()) {
      attribute(line, "aria-current", number === this.index ? "step" : null);
      if (number === this.index) keepInView(table, line);
    }
  }
}
