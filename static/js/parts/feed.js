/** The event feed: the narrator's sentence for each notable event, newest first. */

import { find, findAll, icon, make, show } from "../dom.js";
import { timeOfDay } from "../format.js";
import { markTerms } from "./terms.js";
import { whyButton } from "./why.js";
import { isAmbient } from "../fold/tx.js";

const ROWS_MAX = 60;

const ICONS = {
  "paxos.ballot": "candidate", "paxos.leader": "leader", "node.up": "check", "node.down": "down",
  "node.fail": "failed", "node.recover": "check", "node.pause": "paused", "link.cut": "failed",
  "link.heal": "check", "tx.submit": "arrow", "tx.reply": "arrow", check: "warn", ctl: "keys",
  mark: "forward", gap: "warn", experiment: "play",
};

const iconOf = (event) => (event.k === "check" && event.ok ? "check" : (ICONS[event.k] ?? "forward"));

/** good, warn or bad; none for most. */
export function toneOf(event) {
  if (["node.fail", "node.down", "node.pause", "link.cut", "gap"].includes(event.k)) return "bad";
  if (event.k === "check") return event.ok ? "good" : "bad";
  if (event.k === "paxos.ballot") return "warn";
  if (event.k === "tx.reply") return event.outcome === "committed" ? "good" : "warn";
  return ["paxos.leader", "node.up", "node.recover", "link.heal"].includes(event.k) ? "good" : "";
}

/**
 * Feed events and finished transactions of a state as events, newest first, at most `limit`. Ambient ones stand
 * among the transfers only, so that everything else is not lost between them.
 */
export function feedRows(view, wanted, limit = ROWS_MAX) {
  const system = wanted === "tx" ? [] : view.feed;
  const transactions = wanted === "system" ? [] : view.tx.filter((tx) => tx.outcome && (wanted === "tx" || !isAmbient(tx.id)));
  const rows = [...system, ...transactions.map((tx) => ({ ...tx, k: "tx.reply", tx: tx.id }))];
  // Nodes tell in messages of their own: what happened within one period comes in any order.
  rows.sort((a, b) => b.ts - a.ts || b.q - a.q);
  return rows.slice(0, limit);
}

/** What the button of an event asks; "" where there is nothing to ask. */
export function whyOf(event) {
  if (event.k === "tx.reply") return event.outcome === "committed" ? "" : `tx ${event.tx}`;
  if (event.k === "paxos.leader") return `node ${event.leader}`;
  return ["node.down", "node.fail", "node.pause", "paxos.ballot"].includes(event.k) ? `node ${event.n}` : "";
}

export class Feed {
  /** @param {(event: object) => string | null} narrate */
  constructor(narrate) {
    this.narrate = narrate;
    this.list = find("[data-feed-list]");
    this.wanted = "all";
    this.rows = new Map();
    this.view = null;
    for (const button of findAll("[data-feed]")) {
      button.addEventListener("click", () => this.#choose(button));
    }
  }

  #choose(chosen) {
    this.wanted = chosen.dataset.feed;
    for (const button of findAll("[data-feed]")) button.setAttribute("aria-pressed", String(button === chosen));
    if (this.view) this.update(this.view, true);
  }

  /** The same events, told again: at another level. */
  retell() {
    if (this.view) this.update(this.view, true);
  }

  update(view, force = false) {
    const same = this.view && this.view.feed === view.feed && this.view.tx === view.tx;
    this.view = view;
    if (same && !force) return;
    const wanted = feedRows(view, this.wanted);
    show(find("[data-feed-empty]"), wanted.length === 0);
    const next = new Map();
    for (const event of wanted) {
      // A transaction keeps its row while its fields fill up; its sentence tells whether it changed.
      const sentence = this.narrate(event);
      if (sentence === null) continue;
      const key = `${event.tx ?? event.q}|${sentence}`;
      next.set(key, this.rows.get(key) ?? this.#row(event, sentence));
    }
    for (const [key, row] of this.rows) if (!next.has(key)) row.remove();
    this.rows = next;
    this.#place([...next.values()]);
  }

  /** Put rows into order, moving only those that stand elsewhere. */
  #place(rows) {
    rows.forEach((row, index) => {
      const there = this.list.children[index];
      if (there !== row) this.list.insertBefore(row, there ?? null);
    });
  }

  #row(event, sentence) {
    const time = make("time", { datetime: new Date(event.ts / 1000).toISOString() }, timeOfDay(event.ts));
    const words = make("span", {}, sentence);
    if (isAmbient(event.tx)) words.append(" ", make("span", { class: "tag" }, "ambient"));
    markTerms(words, this.list);
    const asked = whyOf(event);
    return make("li", { "data-tone": toneOf(event), "data-kind": event.k }, time, icon(iconOf(event)), words,
      ...(asked ? [whyButton(asked, `Why? ${sentence}`)] : []));
  }
}
