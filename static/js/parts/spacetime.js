/** Draws a space-time diagram; pointing at a message, or moving to it by keys, lights what led to it and what it led to. */

import { attribute, find, make, svg, text } from "../dom.js";
import { ballot, millis } from "../format.js";
import { axis, cone, isIn, spaceTime } from "../spacetime.js";

const LABEL_PX = 48;
const RIGHT_PX = 24;
const TOP_PX = 30;
const LANE_PX = 62;
const WIDTH_LEAST = 480;
/** Room that the length of a wait needs. */
const WAIT_PX = 48;
const GLYPHS = { accepted: "◐", chosen: "●", applied: "■", stood: "▲", leads: "★" };
const NAMES = {
  accept: "Accept", accepted: "Accepted", commit: "Commit", heartbeat: "Heartbeat", prevote: "Pre-vote",
  prepare: "Prepare", promise: "Promise", newview: "NEW-VIEW", nack: "Refusal",
};

export class SpaceTime {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.frame = find("[data-spacetime=frame]", root);
    this.said = find("[data-spacetime=said]", root);
    this.rows = find("[data-spacetime=rows]", root);
    this.table = find("[data-spacetime=table]", root);
    this.legend = find("[data-spacetime=legend]", root);
    this.diagram = null;
    this.group = null;
    this.name = "";
    this.key = "";
    this.lit = -1;
    this.frame.addEventListener("keydown", (event) => this.#key(event));
    this.frame.addEventListener("pointerover", (event) => this.#hover(event));
    this.frame.addEventListener("pointerleave", () => this.#light(-1));
    this.frame.addEventListener("blur", () => this.#light(-1));
    this.table.addEventListener("toggle", () => this.#tabulate());
    new ResizeObserver(() => this.#draw()).observe(this.frame);
  }

  /**
   * @param {object} group what the state has of a cluster
   * @param {object[]} nodes its replicas
   * @param {{slot?: number, ballot?: number[], most?: number}} wanted
   * @param {{name: string, grows: boolean}} about `name` of what is shown; `grows`: of the same, fewer messages are no news
   */
  update(group, nodes, wanted, { name, grows }) {
    // States are never changed in place: the same group has the same messages.
    if (this.group === group && this.name === name) return;
    const isSame = this.name === name;
    this.group = group;
    const diagram = spaceTime(group, nodes.map(({ id }) => id), wanted);
    if (isSame && grows && diagram.messages.length < this.diagram.messages.length) return;
    const key = JSON.stringify([name, diagram]);
    if (key === this.key) return;
    this.key = key;
    const before = this.diagram?.messages[this.lit];
    this.diagram = diagram;
    this.name = name;
    this.lit = before ? diagram.messages.findIndex(({ mid, m }) => mid === before.mid && m === before.m) : -1;
    this.#draw();
    this.#tabulate();
  }

  #draw() {
    if (!this.diagram || this.frame.clientWidth === 0) return;
    const { nodes, points, messages } = this.diagram;
    if (points.length === 0) {
      this.frame.replaceChildren(make("p", { class: "empty muted" }, `No message of ${this.name} was recorded.`));
      this.#say();
      return;
    }
    const width = Math.max(WIDTH_LEAST, this.frame.clientWidth);
    const height = TOP_PX + nodes.length * LANE_PX;
    this.scale = axis(points.map(({ ts }) => ts));
    const room = width - LABEL_PX - RIGHT_PX;
    this.x = (ts) => LABEL_PX + 8 + this.scale.at(ts) * room;
    this.y = (node) => TOP_PX + nodes.indexOf(node) * LANE_PX + LANE_PX / 2;
    const label = `Messages of ${this.name}: ${messages.length} over ${millis(this.scale.ms)} ms; the table below has each`;
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "spacetime" });
    picture.append(
      ...this.#waits(room, height), ...this.#lanes(width), ...messages.map((message, index) => this.#message(message, index)),
      ...points.map((point, index) => this.#point(point, index)),
    );
    this.picture = picture;
    this.frame.replaceChildren(picture);
    this.#legend();
    this.#light(this.lit);
  }

  /** Stretches in which nothing happened are drawn shorter than they were, and say how long they were. */
  #waits(room, height) {
    return this.scale.waits.flatMap(({ from, to, ms }) => {
      const [left, right] = [LABEL_PX + 8 + from * room, LABEL_PX + 8 + to * room];
      const band = svg("rect", { class: "st-wait", x: left, y: TOP_PX - 6, width: right - left, height: height - TOP_PX + 2 });
      if (right - left < WAIT_PX) return [band];
      return [band, svg("text", { class: "st-tick", x: (left + right) / 2, y: 14, "text-anchor": "middle" }, `${millis(ms)} ms`)];
    });
  }

  #lanes(width) {
    return this.diagram.nodes.flatMap((node) => [
      svg("line", { class: "st-lane", x1: LABEL_PX, x2: width, y1: this.y(node), y2: this.y(node) }),
      svg("text", { class: "st-name", x: 8, y: this.y(node) + 4 }, `n${node}`),
    ]);
  }

  #message(message, index) {
    const group = svg("g", { class: `st-message st-${message.m}`, "data-message": index });
    const [y1, y2] = [this.y(message.n), this.y(message.to)];
    const start = message.sent || message.got;
    // One end is all that is known of a message that was lost, or whose other end told nothing: half a line.
    const isWhole = message.sent > 0 && message.got > 0;
    const [x1, x2] = [this.x(start), isWhole ? this.x(message.got) : this.x(start)];
    const from = message.sent ? y1 : (y1 + y2) / 2;
    const to = isWhole || !message.sent ? y2 : y1 + (y2 - y1) * 0.4;
    const ends = { x1, y1: from, x2, y2: to };
    group.append(svg("line", { class: "st-hit", ...ends }), svg("line", { class: isWhole ? "st-line" : "st-line st-half", ...ends }));
    if (message.lost) group.append(svg("text", { class: "st-lost", x: x2, y: to + 4, "text-anchor": "middle" }, "×"));
    else if (message.got) group.append(svg("path", { class: "st-tip", d: tip(x1, from, x2, to) }));
    group.append(svg("title", {}, this.#words(message)));
    return group;
  }

  #point({ node, ts, what, label }, index) {
    const x = this.x(ts);
    if (!(what in GLYPHS)) return svg("circle", { class: "st-point", "data-point": index, cx: x, cy: this.y(node), r: 2 });
    const y = this.y(node) + (what === "applied" ? 19 : -9);
    return svg("text", { class: `st-event st-is-${what}`, "data-point": index, x, y, "text-anchor": "middle" }, GLYPHS[what],
      svg("title", {}, `n${node}: ${what} ${label}`));
  }

  #words({ m, n, to, s, b, sent, got, lost }) {
    const slot = s ? ` of slot ${s}` : "";
    const way = lost ? `lost: ${lost}` : sent && got ? `${millis((got - sent) / 1000)} ms on the way`
      : got ? "its sending was not recorded" : "its arrival was not recorded";
    return `${NAMES[m] ?? m}${slot}, ballot ${ballot(b)}, n${n} to n${to}: ${way}`;
  }

  #legend() {
    const used = [...new Set(this.diagram.messages.map(({ m }) => m))];
    this.legend.replaceChildren(...Object.keys(NAMES).filter((m) => used.includes(m)).map((m) => {
      const line = svg("svg", { width: 28, height: 8, "aria-hidden": "true", class: `spacetime st-${m}` },
        svg("line", { class: "st-line", x1: 0, x2: 28, y1: 4, y2: 4 }));
      return make("li", {}, line, NAMES[m]);
    }));
  }

  // --- causes ---------------------------------------------------------------------------------------------

  #hover(event) {
    const group = event.target.closest("[data-message]");
    if (group) this.#light(Number(group.dataset.message));
  }

  #key(event) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const last = (this.diagram?.messages.length ?? 0) - 1;
    if (event.key in steps) this.#light(Math.min(last, Math.max(0, this.lit < 0 ? 0 : this.lit + steps[event.key])));
    else if (event.key === "Home") this.#light(0);
    else if (event.key === "End") this.#light(last);
    else if (event.key === "Escape") this.#light(-1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Light the causal cone of a message; -1: of none. */
  #light(index) {
    if (!this.picture || !this.diagram) return;
    const message = this.diagram.messages[index];
    this.lit = message ? index : -1;
    attribute(this.picture, "data-lit", message ? "" : null);
    const lit = message ? cone(this.diagram, index) : null;
    for (const group of this.picture.querySelectorAll("[data-message]")) {
      const other = this.diagram.messages[Number(group.dataset.message)];
      const is = !message ? null : other === message ? "self" : isIn(lit.past, other) ? "past" : isIn(lit.future, other) ? "future" : null;
      attribute(group, "data-cone", is);
    }
    for (const point of this.picture.querySelectorAll("[data-point]")) {
      const number = Number(point.dataset.point);
      attribute(point, "data-cone", !message ? null : lit.past.has(number) ? "past" : lit.future.has(number) ? "future" : null);
    }
    this.#say(lit);
  }

  #say(lit = null) {
    const { messages, points } = this.diagram;
    const message = messages[this.lit];
    if (!message) {
      const words = points.length === 0 ? "" : "Point at a message, or use the arrow keys: what led to it and what it led to lights up.";
      text(this.said, words);
      return;
    }
    const others = messages.filter((other) => other !== message);
    const before = others.filter((other) => isIn(lit.past, other)).length;
    const after = others.filter((other) => isIn(lit.future, other)).length;
    text(this.said, `${this.lit + 1} of ${messages.length}. ${this.#words(message)}. Led to by ${before} other messages, led to ${after}.`);
  }

  #tabulate() {
    if (!this.table.open || !this.diagram) return;
    const { points, messages } = this.diagram;
    const start = points[0]?.ts ?? 0;
    const at = (ts) => (ts ? millis((ts - start) / 1000) : "–");
    this.rows.replaceChildren(...messages.map((message) => make("tr", {},
      make("td", { class: "num" }, at(message.sent)), make("td", { class: "num" }, at(message.got)),
      make("td", {}, `n${message.n} → n${message.to}`), make("td", {}, NAMES[message.m] ?? message.m),
      make("td", { class: "num" }, message.s ? String(message.s) : "–"), make("td", { class: "num" }, ballot(message.b)),
      make("td", {}, message.lost ? `lost: ${message.lost}` : ""))));
  }
}

/** A small arrow head at the end of a line. */
function tip(x1, y1, x2, y2) {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  const wing = (turn) => `${x2 - 7 * Math.cos(angle + turn)},${y2 - 7 * Math.sin(angle + turn)}`;
  return `M${wing(0.42)} L${x2},${y2} L${wing(-0.42)}`;
}
