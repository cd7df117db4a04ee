/** The map of all accounts on a canvas, with a cursor; and accounts over time on another. */

import { attribute, colour, find, show, text } from "../dom.js";
import { count } from "../format.js";
import { channels, cividis, shape, share, tinted } from "./heat.js";

const HUES = 6;
const lineOf = (size, least) => Math.max(least, Math.min(LINE_MOST * devicePixelRatio, size / 4));
const hue = (cluster) => `--c${((cluster - 1) % HUES) + 1}`;
/** How light a cell is whose heat nobody recorded. */
const UNKNOWN_HEAT = 0.75;
/** An account on its way is drawn at least so large, in device pixels. */
const MOVING_LEAST = 5;
/** Where cells are large, lines are not as thick as there is room for, and hatching has several. In CSS pixels. */
const LINE_MOST = 3;
const HATCH_EVERY = 10;

/** One cell per account, or per run of neighbours: hue is the cluster, lightness the heat, where it is known. */
export class ShardMap {
  constructor(canvas, said) {
    this.canvas = canvas;
    this.said = said;
    this.cursor = null;
    canvas.addEventListener("pointermove", (event) => this.#point(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  update(map) {
    this.map = map;
    this.grid = shape(map.cells.length);
    this.draw();
    this.#say();
  }

  draw() {
    if (!this.map) return;
    const { canvas, map, grid } = this;
    const scale = Math.max(1, Math.floor((canvas.clientWidth * devicePixelRatio) / grid.columns));
    canvas.width = grid.columns * scale;
    canvas.height = grid.rows * scale;
    canvas.style.aspectRatio = `${grid.columns} / ${grid.rows}`;
    const ground = channels(colour("--surface"));
    const hues = new Map(map.clusters.map(({ id }) => [id, channels(colour(hue(id)))]));
    const most = Math.max(1, ...(map.heat ?? []));
    const heat = (cell) => (map.heat ? share(map.heat[cell], most) : UNKNOWN_HEAT);
    const cells = new ImageData(grid.columns, grid.rows);
    map.cells.forEach((cluster, cell) => {
      cells.data.set([...tinted(hues.get(cluster) ?? ground, ground, heat(cell)), 255], 4 * cell);
    });
    const buffer = new OffscreenCanvas(grid.columns, grid.rows);
    buffer.getContext("2d").putImageData(cells, 0, 0);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(buffer, 0, 0, canvas.width, canvas.height);
    map.moving.forEach((moving) => this.#hatch(context, scale, moving));
    if (this.cursor === null) return;
    context.strokeStyle = colour("--text");
    context.lineWidth = lineOf(scale, 2);
    context.strokeRect(...this.#corner(this.cursor, scale), scale, scale);
  }

  #corner(cell, scale) {
    return [(cell % this.grid.columns) * scale, Math.floor(cell / this.grid.columns) * scale];
  }

  /** An account on its way is crossed out in the colour of where it goes. */
  #hatch(context, scale, { account, to }) {
    const size = Math.max(scale, MOVING_LEAST);
    const [left, top] = this.#corner(Math.floor((account - 1) / this.map.per_cell), scale);
    context.fillStyle = colour("--surface");
    context.fillRect(left, top, size, size);
    context.strokeStyle = colour(hue(to));
    context.lineWidth = lineOf(size, 1);
    context.save();
    context.beginPath();
    context.rect(left, top, size, size);
    context.clip();
    context.beginPath();
    const step = size / Math.ceil(size / (HATCH_EVERY * devicePixelRatio));
    for (let at = step; at < 2 * size; at += step) {
      context.moveTo(left, top + at);
      context.lineTo(left + at, top);
    }
    context.stroke();
    context.restore();
    context.strokeRect(left, top, size, size);
  }

  #point(event) {
    if (!this.map) return;
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * this.grid.columns);
    const row = Math.floor(((event.clientY - box.top) / box.height) * this.grid.rows);
    const cell = row * this.grid.columns + column;
    if (cell >= 0 && cell < this.map.cells.length) this.#move(cell);
  }

  #key(event) {
    const { columns } = this.grid ?? { columns: 1 };
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (step === undefined || !this.map) return;
    event.preventDefault();
    this.#move(this.cursor === null ? 0 : this.cursor + step);
  }

  #move(cell) {
    this.cursor = Math.min(this.map.cells.length - 1, Math.max(0, cell));
    this.draw();
    this.#say();
  }

  #say() {
    const { map, cursor } = this;
    if (cursor === null) return;
    const first = cursor * map.per_cell + 1;
    const last = Math.min(map.accounts, first + map.per_cell - 1);
    const name = first === last ? `Account ${count(first)}` : `Accounts ${count(first)} to ${count(last)}`;
    const moving = map.moving.find(({ account }) => account >= first && account <= last);
    const way = moving ? `, on the way from C${moving.from} to C${moving.to}` : "";
    const home = map.homes && map.homes[cursor] !== map.cells[cursor] ? `, whose first home is C${map.homes[cursor]}` : "";
    text(this.said, `${name}: C${map.cells[cursor]}${home}${heatInWords(map, cursor)}${way}.`);
  }
}

/** How often a cell's accounts were used, or those around them where no more is known. */
function heatInWords({ heat, near, recent_s: seconds }, cell) {
  if (!heat) return "";
  const around = near ? ` to the ${count(near)} accounts around it` : "";
  return `, ${count(heat[cell])} accesses${around} in the last ${seconds} s`;
}

/** Rows of time, newest on top, columns of neighbouring accounts; brighter is busier. Null: nothing is known. */
export function drawHistory(canvas, history, accounts) {
  show(canvas, history !== null);
  if (!history) {
    text(find("[data-map=history-text]"), "Nothing was told of this time.");
    return;
  }
  canvas.width = history.bins;
  canvas.height = history.rows.length;
  const cells = history.rows.flat();
  const most = Math.max(1, ...cells);
  const picture = new ImageData(history.bins, history.rows.length);
  cells.forEach((uses, at) => picture.data.set([...cividis(share(uses, most)), 255], 4 * at));
  canvas.getContext("2d").putImageData(picture, 0, 0);
  const words = `Columns: ${count(Math.ceil(accounts / history.bins))} neighbouring accounts each. `
    + `Brightest: ${count(most)} accesses in ${history.bucket_s} s.`;
  text(find("[data-map=history-text]"), words);
  attribute(canvas, "aria-label", `Accesses by time and account. ${words}`);
}
