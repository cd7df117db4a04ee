/** The event feed: the narrator's sentence for each notable event, newest first. */

import { find, findAll, icon, make, show } from "../dom.js";
import { timeOfDay } from "../format.js";

const ROWS_MAX = 60;

const ICONS = {
  "paxos.ballot": "candidate", "paxos.leader": "leader", "node.up": "check", "node.down": "down",
  "node.fail": "failed", "node.recover": "check", "node.pause": "paused", "link.cut": "failed",
  "link.heal": "check", "tx.submit": "arrow", "tx.reply": "arrow", check: "warn", ctl: "keys",
  mark: "forward", gap: "warn",
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

/** Feed events and finished transactions of a state as events, newest first, at most `limit`. */
export function feedRows(view, wanted, limit = ROWS_MAX) {
  const system = wanted === "tx" ? [] : view.feed;
  const transactions = wanted === "system" ? [] : view.tx.filter((tx) => tx.outcome);
  const rows = [...system, ...transactions.map((tx) => ({ ...tx, k: "tx.reply", tx: tx.id }))];
  rows.sort((a, b) => b.q - a.q);
  return rows.slice(0, limit);
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
    return make("li", { "data-tone": toneOf(event), "data-kind": event.k }, time, icon(iconOf(event)),
      make("span", {}, sentence));
  }
}
