/** Replicas by slots on a canvas, with a cursor and a table beside it; a strip of rates where slots are too many. */

import { attribute, colour, find, make, show, text } from "../dom.js";
import { ballot, count, rate } from "../format.js";
import {
  cellInWords, contents, contentsInWords, GLYPHS, paceStrip, slotGrid, slotRate, wantsStrip,
} from "../slotgrid.js";
import { channels, cividis, share, tinted } from "./heat.js";

const HUES = 6;
const LABEL = 74;
const COLUMN = 32;
const ROW = 40;
const HEAD = 24;
const FOOT = 22;
const NUMBER_FONT = 11;
/** How strongly a cell takes its ballot's colour. */
const FILL = 0.06;
/** The table and the label change at most so often, so that they can be read. */
const WORDS_MS = 500;

const hue = (b) => `--c${((b[0] - 1) % HUES) + 1}`;

export class SlotGrid {
  /** @param {HTMLElement} root @param {(slot: number) => void} select told of the slot under the cursor; 0: none */
  constructor(root, select) {
    this.canvas = find("[data-grid=canvas]", root);
    this.said = find("[data-grid=cursor]", root);
    this.rows = find("[data-grid=rows]", root);
    this.head = find("[data-grid=head]", root);
    this.table = find("[data-grid=table]", root);
    this.busy = find("[data-grid=busy]", root);
    this.select = select;
    this.cursor = null;
    this.model = null;
    this.isStrip = false;
    this.wordsAt = -WORDS_MS;
    this.recolour();
    this.canvas.addEventListener("click", (event) => this.#click(event));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.table.addEventListener("toggle", () => this.#tabulate());
    new ResizeObserver(() => this.#again()).observe(this.canvas);
  }

  recolour() {
    const names = ["--text", "--muted", "--surface", "--sunken", "--line", "--line-strong", "--accent",
      ...Array.from({ length: HUES }, (_, index) => `--c${index + 1}`)];
    this.colours = Object.fromEntries(names.map((name) => [name, colour(name)]));
    this.font = getComputedStyle(document.body).fontFamily;
    this.#again();
  }

  /** Show a state; `paused`: the view stands still, so single slots can be told apart at any rate. */
  update(state, cluster, paused) {
    this.state = state;
    this.cluster = cluster;
    const perSecond = slotRate(state, cluster);
    this.isStrip = wantsStrip(perSecond, this.isStrip, paused);
    this.perSecond = perSecond;
    this.#again();
    const now = performance.now();
    if (now - this.wordsAt < WORDS_MS && !paused) return;
    this.wordsAt = now;
    this.#label();
    this.#tabulate();
  }

  /** Put the cursor on a slot, on its leader's row unless it is on one already; 0 takes it away. */
  point(slot) {
    this.cursor = slot ? { s: slot, row: this.cursor?.row ?? 0 } : null;
    this.#again();
    this.#say();
  }

  #again() {
    if (!this.state || this.canvas.clientWidth === 0) return;
    const most = Math.max(2, Math.floor((this.canvas.clientWidth - LABEL) / COLUMN));
    this.model = slotGrid(this.state, this.cluster, most);
    if (this.isStrip) this.#drawStrip();
    else this.#drawGrid();
    show(this.busy, this.isStrip);
    show(this.said, !this.isStrip);
  }

  // --- drawing ----------------------------------------------------------------------------------------

  #begin(rows) {
    const { canvas } = this;
    const width = canvas.clientWidth;
    const height = HEAD + rows * ROW + FOOT;
    const scale = devicePixelRatio;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.height = `${height}px`;
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.textBaseline = "middle";
    return pen;
  }

  #write(pen, words, x, y, { size = NUMBER_FONT, weight = 400, ink = "--text", align = "center" } = {}) {
    pen.font = `${weight} ${size}px ${this.font}`;
    pen.textAlign = align;
    pen.fillStyle = this.colours[ink];
    pen.fillText(words, x, y);
  }

  #drawGrid() {
    const { nodes, columns } = this.model;
    const pen = this.#begin(nodes.length);
    this.#labels(pen, nodes);
    const right = this.canvas.clientWidth;
    columns.forEach((column, index) => {
      const x = right - (columns.length - index) * COLUMN;
      this.#column(pen, column, x, index);
    });
    this.#outline(pen);
  }

  #labels(pen, nodes) {
    nodes.forEach((node, row) => {
      const y = HEAD + row * ROW;
      this.#write(pen, `n${node.id}`, 0, y + ROW / 2 - 7, { size: 13, weight: 650, align: "left" });
      const word = node.up === "up" ? node.role : node.up;
      this.#write(pen, word, 0, y + ROW / 2 + 9, { ink: "--muted", align: "left" });
    });
  }

  #column(pen, column, x, index) {
    const short = String(column.s % 100_000);
    const every = short.length > 4 ? 2 : 1;
    if ((this.model.columns.length - 1 - index) % every === 0) {
      this.#write(pen, short, x + COLUMN / 2, HEAD / 2, { ink: "--muted" });
    }
    column.cells.forEach((cell, row) => this.#cell(pen, cell, x, HEAD + row * ROW, this.model.nodes[row], column));
    const foot = HEAD + this.model.nodes.length * ROW + FOOT / 2;
    this.#write(pen, contents(column), x + COLUMN / 2, foot, { ink: "--muted" });
    if (column.missing > 0) this.#tear(pen, x);
  }

  #cell(pen, cell, x, y, node, column) {
    pen.globalAlpha = node.up === "up" ? 1 : 0.5;
    const own = cell.b ? this.colours[hue(cell.b)] : this.colours["--muted"];
    const ground = channels(this.colours[column.next ? "--sunken" : "--surface"]);
    if (cell.stage !== "" && cell.stage !== "promised") {
      pen.fillStyle = `rgb(${tinted(channels(own), ground, FILL)})`;
      pen.fillRect(x + 1, y + 1, COLUMN - 2, ROW - 2);
    }
    pen.strokeStyle = this.colours["--line"];
    pen.lineWidth = 1;
    pen.setLineDash(column.next ? [2, 2] : []);
    pen.strokeRect(x + 1.5, y + 1.5, COLUMN - 3, ROW - 3);
    pen.setLineDash([]);
    if (cell.stage !== "") {
      pen.font = `600 15px ${this.font}`;
      pen.textAlign = "center";
      pen.fillStyle = own;
      pen.fillText(GLYPHS[cell.stage], x + COLUMN / 2, y + 13);
      this.#write(pen, cell.b ? `${cell.b[0]},${cell.b[1]}` : "", x + COLUMN / 2, y + 29);
    }
    pen.globalAlpha = 1;
  }

  /** Between two columns are slots that were not recorded. */
  #tear(pen, x) {
    pen.strokeStyle = this.colours["--line-strong"];
    pen.lineWidth = 2;
    pen.setLineDash([2, 3]);
    pen.beginPath();
    pen.moveTo(x, HEAD);
    pen.lineTo(x, HEAD + this.model.nodes.length * ROW);
    pen.stroke();
    pen.setLineDash([]);
  }

  #outline(pen) {
    const index = this.#place();
    if (index < 0) return;
    const { columns, nodes } = this.model;
    const x = this.canvas.clientWidth - (columns.length - index) * COLUMN;
    pen.strokeStyle = this.colours["--accent"];
    pen.lineWidth = 1.5;
    pen.strokeRect(x + 0.5, HEAD - 1, COLUMN - 1, nodes.length * ROW + 2);
    pen.lineWidth = 3;
    pen.strokeRect(x + 1.5, HEAD + this.cursor.row * ROW + 1.5, COLUMN - 3, ROW - 3);
  }

  #drawStrip() {
    const { nodes, times, rows, most } = paceStrip(this.state, this.cluster);
    const pen = this.#begin(nodes.length);
    this.#labels(pen, nodes);
    const width = (this.canvas.clientWidth - LABEL) / Math.max(1, times.length);
    rows.forEach((row, index) => row.forEach((perSecond, at) => {
      pen.fillStyle = perSecond === null ? this.colours["--sunken"] : `rgb(${cividis(share(perSecond, most))})`;
      pen.fillRect(LABEL + at * width, HEAD + index * ROW + 3, Math.ceil(width), ROW - 6);
    }));
    const words = `slots applied a second, last ${Math.round(times.length / 4)} s; brightest ${rate(most)}`;
    this.#write(pen, words, this.canvas.clientWidth, HEAD / 2, { ink: "--muted", align: "right" });
  }

  // --- the cursor ---------------------------------------------------------------------------------------

  /** Which column the cursor is on; -1 when its slot is not in view. */
  #place() {
    return this.cursor && this.model ? this.model.columns.findIndex(({ s }) => s === this.cursor.s) : -1;
  }

  #click(event) {
    if (!this.model || this.isStrip) return;
    const box = this.canvas.getBoundingClientRect();
    const { columns, nodes } = this.model;
    const index = columns.length - Math.ceil((box.right - event.clientX) / COLUMN);
    const row = Math.floor((event.clientY - box.top - HEAD) / ROW);
    if (index >= 0 && index < columns.length) this.#go(index, Math.min(nodes.length - 1, Math.max(0, row)));
  }

  #key(event) {
    if (!this.model || this.isStrip) return;
    const { columns, nodes } = this.model;
    const last = columns.length - 1;
    // The column that comes next holds nothing to look at; keys begin at the newest slot.
    const index = this.#place() < 0 ? Math.max(0, last - 1) : this.#place();
    const isNew = this.#place() < 0;
    const row = this.cursor?.row ?? 0;
    const moves = {
      ArrowLeft: [index - (isNew ? 0 : 1), row], ArrowRight: [index + (isNew ? 0 : 1), row],
      ArrowUp: [index, row - 1], ArrowDown: [index, row + (isNew ? 0 : 1)],
      Home: [0, row], End: [last, row],
    };
    if (event.key === "Escape") this.select(0);
    else if (event.key in moves) {
      const [column, line] = moves[event.key];
      this.#go(Math.min(last, Math.max(0, column)), Math.min(nodes.length - 1, Math.max(0, line)));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #go(index, row) {
    this.cursor = { s: this.model.columns[index].s, row };
    this.#again();
    this.#say();
    this.select(this.cursor.s);
  }

  #say() {
    const index = this.#place();
    if (index < 0) {
      text(this.said, this.cursor ? `Slot ${count(this.cursor.s)} has left the grid.` : "Click a cell, or use the arrow keys.");
      return;
    }
    const column = this.model.columns[index];
    const node = this.model.nodes[this.cursor.row];
    const told = contentsInWords(column);
    text(this.said, `${cellInWords(column, node, column.cells[this.cursor.row])}. In it: ${told}.`);
  }

  // --- words ----------------------------------------------------------------------------------------------

  #label() {
    const { columns, nodes } = this.model ?? { columns: [], nodes: [] };
    const known = columns.filter(({ next }) => !next);
    const span = known.length ? `slots ${known[0].s} to ${known.at(-1).s}` : "no slot recorded yet";
    const what = this.isStrip
      ? `${rate(this.perSecond)} slots a second on ${nodes.length} replicas, as a strip; hold the view to see single slots`
      : `${span} on ${nodes.length} replicas, newest right; arrow keys move the cursor`;
    attribute(this.canvas, "aria-label", `Cluster ${this.cluster}: ${what}`);
    this.#say();
  }

  #tabulate() {
    if (!this.table.open || !this.model) return;
    const { nodes, columns } = this.model;
    this.head.replaceChildren(
      make("th", { scope: "col", class: "num" }, "Slot"), make("th", { scope: "col" }, "Holds"),
      ...nodes.map((node) => make("th", { scope: "col" }, `n${node.id}`)));
    this.rows.replaceChildren(...[...columns].reverse().map((column) => make("tr", {},
      make("th", { scope: "row", class: "num" }, count(column.s)), make("td", {}, contentsInWords(column)),
      ...column.cells.map((cell) => make("td", {}, cell.stage === ""
        ? "–" : `${GLYPHS[cell.stage]} ${cell.stage}${cell.b ? ` ${ballot(cell.b)}` : ""}`)))));
  }
}
