/** Plays one transaction in slow motion: client, leaders, replicas, and the messages between them. */

import { attribute, find, show, svg, text } from "../dom.js";
import { millis } from "../format.js";
import { momentOf, pace, playOf, sceneAt } from "../microscope.js";
import { MARKS, MESSAGES, PHASES } from "../waterfall.js";
import { GLYPHS } from "./waterfall.js";

const WIDTH = 360;
const CLIENT_Y = 26;
const LEADER_Y = 112;
const REPLICA_Y = 196;
const ROW_Y = 44;
const PER_ROW = 4;
const LEADER_R = 24;
const REPLICA_R = 15;
/** Where reduced motion is asked for, playing goes from step to step instead. */
const DWELL_S = 1.2;
const SCALE = 1_000;

export class Microscope {
  /**
   * @param {HTMLElement} root
   * @param {(at: number, row: number) => void} moved told of the moment that is shown, and its last step
   * @param {(playing: boolean) => void} played told when it begins and when it stops
   */
  constructor(root, moved, played) {
    this.root = root;
    this.moved = moved;
    this.played = played;
    this.stage = find("[data-microscope-stage]", root);
    this.button = find("[data-microscope-play]", root);
    this.position = find("[data-microscope-position]", root);
    this.speed = find("[data-microscope-speed]", root);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.chart = null;
    this.play = 0;
    this.playing = false;
    this.before = 0;
    this.dwelt = 0;
    this.due = 0;
    this.button.addEventListener("click", () => (this.playing ? this.pause() : this.#start()));
    this.position.addEventListener("input", () => {
      this.pause();
      this.#seek(Number(this.position.value) / SCALE);
    });
  }

  /** Show another state of knowledge; what is shown stays at its moment. */
  update(chart) {
    const at = this.chart ? momentOf(this.paced, this.play) : -Infinity;
    this.chart = chart;
    this.paced = pace(chart);
    this.play = playOf(this.paced, at);
    this.#build();
    this.#show();
    show(this.root, chart.rows.length > 1);
  }

  /** Another transaction follows, or none. */
  leave() {
    this.pause();
    this.chart = null;
    this.play = 0;
  }

  /** Somebody went to a moment by another way. */
  stand(at) {
    this.pause();
    this.play = playOf(this.paced, at);
    this.#show();
  }

  pause() {
    this.playing = false;
    this.#label();
  }

  #start() {
    this.playing = true;
    this.before = 0;
    this.dwelt = 0;
    if (this.play >= 1) this.play = 0;
    this.#label();
    this.#next();
  }

  #label() {
    text(this.button, this.playing ? "Pause" : "Play in slow motion");
    attribute(this.root, "data-playing", this.playing ? "" : null);
    this.played(this.playing);
  }

  /** It plays round and round until it is paused. */
  #frame(now) {
    if (!this.playing || !this.root.isConnected) return;
    const passed_s = this.before ? Math.min(0.1, (now - this.before) / 1_000) * Number(this.speed.value) : 0;
    this.before = now;
    if (this.still.matches) this.#stride(passed_s);
    else this.#seek((this.play + passed_s / this.paced.seconds) % 1);
    this.#next();
  }

  /** One frame is due at a time, also where somebody pauses and plays between two of them. */
  #next() {
    cancelAnimationFrame(this.due);
    this.due = requestAnimationFrame((now) => this.#frame(now));
  }

  #stride(passed_s) {
    this.dwelt += passed_s;
    if (this.dwelt < DWELL_S) return;
    this.dwelt = 0;
    const next = this.chart.rows.find(({ at }) => playOf(this.paced, at) > this.play + 1e-9);
    this.#seek(next ? playOf(this.paced, next.at) : 0);
  }

  #seek(play) {
    this.play = play;
    const row = this.#show();
    this.moved(momentOf(this.paced, play), row);
  }

  // --- the picture ------------------------------------------------------------------------------------

  #build() {
    const { lanes } = this.chart;
    this.places = placesOf(lanes);
    const height = Math.max(...this.places.map(({ y }) => y)) + REPLICA_R + 20;
    const links = pairsOf(this.chart.arrows).map(([from, to]) => {
      const [a, b] = [this.places[from], this.places[to]];
      return svg("line", { class: "ms-link", x1: a.x, y1: a.y, x2: b.x, y2: b.y });
    });
    const behind = lanes.flatMap((lane, index) => {
      if (lane.role !== "replica") return [];
      const leader = lanes.findIndex((other) => other.cluster === lane.cluster);
      const [a, b] = [this.places[leader], this.places[index]];
      return [svg("line", { class: "ms-behind", x1: a.x, y1: a.y, x2: b.x, y2: b.y })];
    });
    this.flights = svg("g", {});
    this.nodes = lanes.map((lane, index) => this.#node(lane, this.places[index]));
    const clusters = [...new Set(lanes.map(({ cluster }) => cluster).filter(Boolean))];
    const titles = clusters.map((cluster) => {
      const first = this.places[lanes.findIndex((lane) => lane.cluster === cluster)];
      return svg("text", { class: "ms-cluster", x: first.x, y: LEADER_Y - LEADER_R - 10 }, `cluster ${cluster}`);
    });
    this.picture = svg("svg", { class: "microscope", viewBox: `0 0 ${WIDTH} ${height}`, role: "img" },
      ...links, ...behind, ...titles, ...this.nodes.map(({ group }) => group), this.flights);
    this.stage.replaceChildren(this.picture);
  }

  #node(lane, { x, y, r }) {
    const shape = lane.cluster
      ? svg("circle", { class: "ms-node", r })
      : svg("rect", { class: "ms-node", x: -34, y: -13, width: 68, height: 26, rx: 13 });
    const ring = svg("circle", { class: "ms-lock", r: r + 4 });
    const glyph = svg("text", { class: "ms-glyph", y: lane.cluster ? 5 : 4 });
    const name = svg("text", { class: "ms-name", y: lane.cluster ? r + 16 : 4 }, lane.cluster ? `n${lane.node}` : "client");
    const group = svg("g", { class: `ms-place ms-${lane.role}`, transform: `translate(${x} ${y})` }, ring, shape, glyph, name);
    if (lane.cluster) group.dataset.hue = lane.cluster;
    return { group, glyph, lane };
  }

  /** Draw the moment; returns its last step. */
  #show() {
    const at = momentOf(this.paced, this.play);
    const scene = sceneAt(this.chart, this.paced, at);
    scene.lanes.forEach((state, index) => {
      const { group, glyph, lane } = this.nodes[index];
      attribute(group, "data-phase", state.phase || null);
      attribute(group, "data-locked", state.locked ? "" : null);
      attribute(group, "data-no", state.no ? "" : null);
      attribute(group, "data-mark", state.mark || null);
      if (lane.cluster) text(glyph, state.no ? "×" : (GLYPHS[state.mark] ?? ""));
    });
    this.#fly(scene.flights);
    const clock = `${millis(Math.min(this.chart.span, Math.max(0, at)))} of ${millis(this.chart.span)} ms`;
    text(find("[data-microscope-clock]", this.root), clock);
    attribute(this.picture, "aria-label", `Slow motion at ${clock}: ${wordsOf(scene, this.chart.lanes)}`);
    const place = Math.round(this.play * SCALE);
    if (Number(this.position.value) !== place) this.position.value = place;
    attribute(this.position, "aria-valuetext", clock);
    return scene.row;
  }

  #fly(flights) {
    while (this.flights.childElementCount > flights.length) this.flights.lastElementChild.remove();
    while (this.flights.childElementCount < flights.length) {
      this.flights.append(svg("g", {}, svg("circle", { class: "ms-dot", r: 6 }), svg("text", { class: "ms-word", y: -10 })));
    }
    flights.forEach(({ from, to, m, part, guessed }, index) => {
      const dot = this.flights.children[index];
      const [a, b] = [this.places[from], this.places[to]];
      dot.setAttribute("transform", `translate(${a.x + (b.x - a.x) * part} ${a.y + (b.y - a.y) * part})`);
      attribute(dot, "class", `ms-flight ms-${m.replace(".", "-")}${guessed ? " ms-guessed" : ""}`);
      text(dot.lastElementChild, MESSAGES[m] ?? (m === "submit" ? "request" : "answer"));
    });
  }
}

/** The client above, each cluster's leader below it, the leader's replicas in rows under it. */
function placesOf(lanes) {
  const clusters = [...new Set(lanes.map(({ cluster }) => cluster).filter(Boolean))];
  const wide = WIDTH / Math.max(1, clusters.length);
  const count = new Map();
  return lanes.map((lane) => {
    if (!lane.cluster) return { x: WIDTH / 2, y: CLIENT_Y, r: 13 };
    const x = wide * (clusters.indexOf(lane.cluster) + 0.5);
    const place = count.get(lane.cluster) ?? 0;
    count.set(lane.cluster, place + 1);
    if (place === 0) return { x, y: LEADER_Y, r: LEADER_R };
    const others = lanes.filter(({ cluster }) => cluster === lane.cluster).length - 1;
    const row = Math.floor((place - 1) / PER_ROW);
    const inRow = Math.min(PER_ROW, others - row * PER_ROW);
    const step = Math.min(52, (wide - 8) / inRow);
    return { x: x + ((place - 1) % PER_ROW - (inRow - 1) / 2) * step, y: REPLICA_Y + row * ROW_Y, r: REPLICA_R };
  });
}

/** Which lanes exchange messages, each pair once. */
function pairsOf(arrows) {
  const pairs = new Map(arrows.map(({ from, to }) => [[from, to].sort((a, b) => a - b).join(), [from, to]]));
  return [...pairs.values()];
}

function wordsOf(scene, lanes) {
  const name = (index) => (lanes[index].cluster ? `n${lanes[index].node}` : "client");
  const moving = scene.flights.map(({ from, to, m }) => `${MESSAGES[m] ?? m} from ${name(from)} to ${name(to)}`);
  const standing = scene.lanes.flatMap(({ mark, phase, locked, no }, index) => {
    const words = [mark && `${MARKS[mark]}${no ? " (no)" : ""}`, locked && "holds locks", phase && PHASES[phase] && `in ${phase}`];
    return words.some(Boolean) ? [`${name(index)} ${words.filter(Boolean).join(", ")}`] : [];
  });
  return [...moving, ...standing].join("; ") || "nothing has happened yet";
}
