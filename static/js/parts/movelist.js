/** Accounts on the move, at both ends: what leaves each cluster and what arrives there. */

import { attribute, find, make, show } from "../dom.js";
import { count } from "../format.js";

/** What has arrived stands there for a while. */
const STAYS_US = 6_000_000;
const SHOWN = 24;
const WORDS = { moving: "on its way", moved: "arrived", back: "went back" };

/**
 * By cluster, accounts that leave it or arrive there now or did a moment ago, newest first.
 * @param {object} view the state on view
 * @returns {{id: number, leaving: object[], arriving: object[]}[]}
 */
export function ends(view) {
  const recent = (view.moves ?? []).filter((one) => one.is === "moving" || view.ts - one.ts < STAYS_US);
  const rows = recent.toReversed().flatMap((one) => one.accounts.map((account) => ({ ...one, account })));
  return Object.values(view.clusters).map(({ id }) => ({
    id,
    leaving: rows.filter(({ from }) => from === id),
    arriving: rows.filter(({ to }) => to === id),
  }));
}

function list(rows, other, redistributions) {
  const items = rows.slice(0, SHOWN).map((row) => {
    const link = redistributions ? make("a", {
      href: `${redistributions}${row.plan}/?account=${row.account}#why`, title: `${WORDS[row.is]}. Why?`,
    }, String(row.account)) : make("span", { title: WORDS[row.is] }, String(row.account));
    return make("li", { "data-is": row.is }, link, " ",
      make("span", { class: "tag cluster-tag", "data-hue": String(other(row)) }, `C${other(row)}`));
  });
  if (rows.length > SHOWN) items.push(make("li", { class: "muted" }, `and ${count(rows.length - SHOWN)} more`));
  return make("ul", { class: "move-list" }, ...items);
}

/** `data-redistributions` of the root: where plans have their pages; without it nothing leads there. */
export class MoveList {
  constructor(root) {
    this.root = root;
    this.shown = "";
  }

  update(view) {
    const clusters = ends(view);
    const any = clusters.some(({ leaving }) => leaving.length);
    show(find("[data-moves=none]"), !any);
    const key = JSON.stringify(clusters.map(({ leaving, arriving }) => [leaving, arriving].map((rows) =>
      rows.slice(0, SHOWN + 1).map(({ account, is, batch }) => `${account}${is}${batch}`))));
    if (key === this.shown) return;
    this.shown = key;
    const { redistributions } = this.root.dataset;
    this.root.replaceChildren(...(any ? clusters.map(({ id, leaving, arriving }) => make("section", { class: "move-end" },
      make("h3", {}, make("span", { class: "tag cluster-tag", "data-hue": String(id) }, `C${id}`)),
      make("div", {}, make("h4", {}, `leaving ${count(leaving.length)}`), list(leaving, ({ to }) => to, redistributions)),
      make("div", {}, make("h4", {}, `arriving ${count(arriving.length)}`), list(arriving, ({ from }) => from, redistributions)),
    )) : []));
    attribute(this.root, "data-any", any ? "" : null);
  }
}
