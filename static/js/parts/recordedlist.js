/** The transactions of a recording: a list with a filter, and the one that is chosen, as the address names it. */

import { addressWith, asked, keep } from "../address.js";
import { attribute, find, findAll, icon, make, show, text } from "../dom.js";
import { count, millis, moment } from "../format.js";
import { read } from "../rest.js";
import { Steps } from "./steps.js";

const ROWS = 50;
const FILTERS = ["outcome", "account", "ambient"];
const TAGS = { committed: ["tag-good", "check"], aborted: ["tag-bad", "failed"], unknown: ["tag-warn", "warn"] };

/** What is asked of REST for what the address asks for. */
export function queryOf({ outcome, account, ambient }, before = null) {
  const query = new URLSearchParams({ limit: ROWS });
  if (outcome) query.set("outcome", outcome);
  if (account) query.set("account", account);
  if (ambient === "0") query.set("ambient", "false");
  if (before !== null) query.set("before", before);
  return query;
}

/** The line above the steps of a transaction. */
export function titleOf({ id, from, to, amt, parties, outcome }) {
  const what = from && parties <= 2 ? `${count(amt)} from account ${from} to ${to}` : `Transaction ${id}`;
  return `${what}: ${outcome === "unknown" ? "no event says what became of it" : outcome}`;
}

export class RecordedList {
  /** @param {object} shell as pages get it @param {string} base address of the recording, below /api/ */
  constructor(shell, base) {
    this.shell = shell;
    this.base = base;
    this.panel = find("[data-steps]");
    this.steps = new Steps(this.panel, shell);
    this.form = find("[data-recorded-filter]");
    this.body = find("[data-recorded-rows]");
    this.more = find("[data-recorded-more]");
    this.said = find("[data-recorded-said]");
    this.next = null;
    this.turn = 0;
    this.chosen = "";
    this.#listen();
  }

  /** Show what the address asks for. */
  async open() {
    const { ambient } = this.form.elements;
    for (const name of ["outcome", "account"]) this.form.elements[name].value = asked(name);
    if (ambient) ambient.checked = asked("ambient") !== "0";
    await Promise.all([this.#list(), this.choose(asked("tx"))]);
    this.panel.dataset.recordedReady = "";
    // What the address leads to was not there yet, or not at its place.
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }

  #listen() {
    const filter = () => {
      const { outcome, account, ambient } = this.form.elements;
      if (!account.reportValidity()) return;
      keep({ outcome: outcome.value, account: account.value, ambient: ambient?.checked === false ? "0" : "" });
      this.#list();
    };
    this.form.addEventListener("change", filter);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      filter();
    });
    this.more.addEventListener("click", () => this.#older());
    this.body.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      if ("tx" in link.dataset) this.#go(link.dataset.tx);
      else this.shell.moves.goto(Number(link.dataset.t), Number(link.dataset.q));
    });
    find("[data-steps-close]", this.panel).addEventListener("click", async () => {
      const row = find("[aria-current]", this.body);
      await this.choose("");
      (row ? find("a[data-tx]", row) : this.form.elements.outcome).focus();
    });
  }

  /** The steps of a transaction, and the eye of the reader there. */
  async #go(tx) {
    await this.choose(tx);
    find("[data-steps-title]", this.panel).focus({ preventScroll: true });
    this.panel.scrollIntoView({ block: "nearest" });
  }

  /** Show the steps of a transaction; "" for none. */
  async choose(tx) {
    this.chosen = tx;
    keep({ tx });
    this.#mark();
    this.steps.clear();
    show(this.panel, tx !== "");
    if (tx === "") return;
    text(find("[data-steps-title]", this.panel), "How it came about");
    this.steps.say("Reading its steps…");
    let found;
    try {
      found = await read(`${this.base}transactions/${encodeURIComponent(tx)}`);
    } catch (error) {
      if (this.chosen === tx) this.steps.say(`Its steps cannot be shown: ${error.message}`);
      return;
    }
    if (this.chosen !== tx) return;
    text(find("[data-steps-title]", this.panel), titleOf(found));
    this.steps.say("");
    this.steps.update(found.steps, found.clusters);
  }

  /** The list anew, by what the address asks for. */
  async #list() {
    this.next = null;
    await this.#fetch((rows) => this.body.replaceChildren(...rows));
  }

  async #older() {
    await this.#fetch((rows) => this.body.append(...rows));
  }

  /** The next rows; an answer that was overtaken by another question is not shown. */
  async #fetch(place) {
    this.turn += 1;
    const { turn } = this;
    const filters = Object.fromEntries(FILTERS.map((name) => [name, asked(name)]));
    let told;
    try {
      told = await read(`${this.base}transactions?${queryOf(filters, this.next)}`);
    } catch (error) {
      if (turn === this.turn) text(this.said, `The transactions cannot be listed: ${error.message}`);
      return;
    }
    if (turn !== this.turn) return;
    place(told.transactions.map((row) => this.#row(row)));
    this.next = told.next;
    show(this.more.parentElement, told.next !== null);
    const { length } = this.body.children;
    show(find("[data-recorded-table]"), length > 0);
    text(this.said, wordsOf(length, told, FILTERS.some((name) => filters[name] !== "")));
    this.#mark();
  }

  #row(row) {
    const { src, start } = this.#origin();
    const at = make("a", {
      href: addressWith({ t: row.ts, q: row.q }), "data-t": row.ts, "data-q": row.q, title: "Go to this moment",
    }, moment(row.ts, src, start));
    const [tone, sign] = TAGS[row.outcome] ?? TAGS.unknown;
    const outcome = make("td", {}, make("span", { class: `tag ${tone}` }, icon(sign), row.outcome));
    if (row.why) outcome.append(" ", make("span", { class: "muted small" }, row.why));
    if (row.ambient) outcome.append(" ", make("span", { class: "tag" }, "ambient"));
    const parties = row.from && row.parties <= 2
      ? [row.from, row.to, count(row.amt)].map((value) => make("td", { class: "num" }, String(value)))
      : [make("td", { class: "num", colspan: "3" }, row.parties ? `${row.parties} accounts` : "–")];
    const clusters = make("td", {}, ...row.clusters.flatMap((cluster) =>
      [make("span", { class: "tag cluster-tag", "data-hue": cluster }, String(cluster)), " "]));
    const steps = make("a", { href: addressWith({ tx: row.id }), "data-tx": row.id },
      "Steps", make("span", { class: "unseen" }, ` of ${row.id}`));
    return make("tr", { "data-row": row.id }, make("td", {}, at), outcome, ...parties, clusters,
      make("td", { class: "num" }, row.ms === null ? "–" : `${millis(row.ms)} ms`), make("td", {}, steps));
  }

  #origin() {
    const { store } = this.shell;
    return { src: store.view.src, start: store.timeline?.start ?? 0 };
  }

  #mark() {
    for (const row of findAll("tr", this.body)) attribute(row, "aria-current", row.dataset.row === this.chosen ? "true" : null);
  }
}

function wordsOf(length, { next, left_out: leftOut }, filtered) {
  if (length === 0) {
    return filtered ? "No transaction of this recording fits the filter."
      : "No event of this recording tells of a transaction. Those from forms and single calls always are told of; of others a sample, while a page is open.";
  }
  const more = next !== null ? ", older ones below" : "";
  const lost = leftOut > 0 ? `; ${count(leftOut)} older ones are not listed` : "";
  return `${count(length)} ${length === 1 ? "transaction" : "transactions"}, newest first${more}${lost}.`;
}
