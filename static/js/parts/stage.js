/** The nodes: their cards, their drawers, the lines between them. The elements come from the server. */

import { attribute, fields, find, findAll, iconAddress, show, text } from "../dom.js";
import { ballot, count } from "../format.js";
import { actionsFor, faultOf, isElecting, leaderOf, leaderSentence, linkRates, stateWord } from "../select.js";

const SVG = "http://www.w3.org/2000/svg";
/** Free space between a card and the end of its lines, in pixels. */
const LINE_GAP = 3;

export class Stage {
  /** @param {((a: string, b: string) => void) | null} picked told of a link that somebody chose; null: none can be */
  constructor(root, picked = null) {
    this.root = root;
    this.picked = picked;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.clusters = findAll("[data-cluster]", root).map((element) => ({
      id: element.dataset.cluster, f: fields(find(".cluster-head", element)),
    }));
    this.cards = new Map(findAll("[data-node]", root).map((element) => [
      element.dataset.node, { element, f: fields(element) },
    ]));
    this.drawers = findAll("[data-drawer]").map((element) => ({
      id: element.dataset.drawer, element, f: fields(element), acts: findAll("[data-act]", element),
    }));
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("class", "stage-links");
    if (picked) {
      attribute(this.svg, "role", "group");
      attribute(this.svg, "aria-label", "Links between the nodes");
    } else {
      attribute(this.svg, "aria-hidden", "true");
    }
    root.append(this.svg);
    this.lines = new Map();
    this.boxes = new Map();
    this.listeners = [];
    new ResizeObserver(() => this.#measure()).observe(root);
  }

  /** `listener(stage)` runs whenever cards have moved. */
  onLayout(listener) {
    this.listeners.push(listener);
    if (this.boxes.size) listener(this);
  }

  update(view) {
    for (const { id, f } of this.clusters) {
      const cluster = view.clusters[id];
      if (!cluster) continue;
      text(f.watermark, count(cluster.watermark));
      text(f.leader, leaderSentence(view, cluster));
      attribute(f.leader, "data-election", isElecting(view, cluster) ? "" : null);
    }
    for (const [id, card] of this.cards) {
      if (view.nodes[id]) this.#card(view, view.nodes[id], card);
    }
    for (const drawer of this.drawers) {
      if (view.nodes[drawer.id]) this.#drawer(view, view.nodes[drawer.id], drawer);
    }
    this.#links(view);
  }

  #card(view, node, { element, f }) {
    const word = stateWord(view, node);
    attribute(element, "data-state", node.up);
    attribute(element, "data-role", node.role);
    attribute(element, "data-lead", node.id === leaderOf(view, node.cluster) ? "" : null);
    attribute(f.icon, "href", iconAddress(word));
    text(f.role, word);
    text(f.ballot, ballot(node.ballot));
    text(f.applied, count(node.applied));
    text(f.lag, count(node.lag));
    text(f.queue, count(node.queue));
  }

  #drawer(view, node, { element, f, acts }) {
    const word = stateWord(view, node);
    attribute(element, "data-state", node.up);
    text(f["state-tag"], word);
    attribute(f["state-tag"], "class", `tag ${node.up === "up" ? "tag-good" : "tag-bad"}`);
    text(f.ballot, ballot(node.ballot));
    text(f.follows, node.leader ? `n${node.leader}` : "nobody");
    for (const name of ["watermark", "applied", "proposed", "checkpoint", "lag", "queue", "in_flight"]) {
      text(f[name], count(node[name]));
    }
    const wanted = actionsFor(node);
    for (const form of acts) show(form, wanted.includes(form.dataset.act));
  }

  #links(view) {
    const rates = this.still.matches ? linkRates(view) : null;
    for (const [key, { group, line, label, a, b }] of this.lines) {
      const off = [a, b].some((id) => view.nodes[id] && view.nodes[id].up !== "up");
      const faults = [faultOf(view, a, b), faultOf(view, b, a)];
      const words = faults[0] === faults[1] ? faults[0] : faults.filter(Boolean).join(", one way; ") + (faults.every(Boolean) ? "" : ", one way");
      attribute(line, "data-off", off ? "" : null);
      attribute(line, "data-cut", words ? "" : null);
      attribute(label, "data-cut", words ? "" : null);
      text(label, words || (rates ? this.#rateText(rates, key, `${b}>${a}`) : ""));
      if (this.picked) attribute(group, "aria-label", `Link n${a} to n${b}${words ? `: ${words}` : ""}`);
    }
  }

  #rateText(rates, one, other) {
    const sum = [rates[one], rates[other]]
      .filter(Boolean)
      .reduce((total, row) => total + Object.values(row).reduce((part, value) => part + value, 0), 0);
    return sum ? `${count(sum)}/s` : "";
  }

  #measure() {
    const origin = this.root.getBoundingClientRect();
    this.boxes = new Map();
    for (const [id, { element }] of this.cards) {
      const box = element.getBoundingClientRect();
      this.boxes.set(id, {
        x: box.left - origin.left + box.width / 2, y: box.top - origin.top + box.height / 2,
        w: box.width / 2 + LINE_GAP, h: box.height / 2 + LINE_GAP,
      });
    }
    this.svg.replaceChildren();
    this.lines.clear();
    for (const group of findAll("[data-cluster]", this.root)) {
      const ids = findAll("[data-node]", group).map((element) => element.dataset.node);
      ids.forEach((a, index) => ids.slice(index + 1).forEach((b) => this.#draw(a, b)));
    }
    this.listeners.forEach((listener) => listener(this));
  }

  #draw(a, b) {
    const [from, to] = this.segment(a, b);
    const [group, hit, line, label] = ["g", "line", "line", "text"].map((name) => document.createElementNS(SVG, name));
    for (const one of [hit, line]) {
      for (const [name, value] of [["x1", from.x], ["y1", from.y], ["x2", to.x], ["y2", to.y]]) {
        one.setAttribute(name, value.toFixed(1));
      }
    }
    label.setAttribute("x", ((from.x + to.x) / 2).toFixed(1));
    label.setAttribute("y", ((from.y + to.y) / 2 + 4).toFixed(1));
    attribute(group, "data-link", `${a}-${b}`);
    group.append(line, label);
    if (this.picked) this.#pickable(group, hit, a, b);
    this.svg.append(group);
    this.lines.set(`${a}>${b}`, { group, line, label, a, b });
  }

  /** A wide stroke without colour takes the pointer; the keyboard gets there with Tab. */
  #pickable(group, hit, a, b) {
    attribute(hit, "class", "link-hit");
    group.prepend(hit);
    for (const [name, value] of [["role", "button"], ["tabindex", "0"], ["aria-label", `Link n${a} to n${b}`]]) {
      group.setAttribute(name, value);
    }
    group.addEventListener("click", () => this.picked(a, b));
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      this.picked(a, b);
    });
  }

  /** Where the line from `a` to `b` leaves the one card and meets the other. */
  segment(a, b) {
    const from = this.boxes.get(String(a));
    const to = this.boxes.get(String(b));
    return [edge(from, to), edge(to, from)];
  }
}

/** The point on the border of `box` towards the centre of `other`. */
function edge(box, other) {
  const dx = other.x - box.x;
  const dy = other.y - box.y;
  const reach = Math.min(
    dx === 0 ? Infinity : box.w / Math.abs(dx),
    dy === 0 ? Infinity : box.h / Math.abs(dy),
    0.5,
  );
  return { x: box.x + dx * reach, y: box.y + dy * reach };
}
