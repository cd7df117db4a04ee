/** The shard map of a recording at the moment on view, its clusters, who is away from home, and how busy accounts were. */

import { historyAt, hottestAt, RECENT_S } from "../busy.js";
import { attribute, find, make, show, text } from "../dom.js";
import { count } from "../format.js";
import { OwnersMap } from "../owners.js";
import { MoveList } from "./movelist.js";
import { drawHistory, ShardMap } from "./shardmap.js";

const AWAY_ROWS = 200;

const tag = (cluster) => make("span", { class: "tag cluster-tag", "data-hue": String(cluster) }, `C${cluster}`);

/** What a map shows, in words. */
export function wordsOf({ accounts, clusters, away, moving, full }) {
  const owned = clusters.map(({ id, accounts: owns }) => `C${id} ${count(owns)}`).join(", ");
  return `Map of ${count(accounts)} accounts at this moment: ${owned}. ${full ? "At least " : ""}${count(away.length)} away from `
    + `their first home, ${count(moving.length)} on their way.`;
}

export class RecordedMap {
  constructor() {
    this.owners = new OwnersMap();
    this.canvas = find("[data-map=canvas]");
    this.map = new ShardMap(this.canvas, find("[data-map=cursor]"));
    this.moves = new MoveList(find("[data-moves=ends]"));
    this.shown = null;
    this.open = find("[data-map=away-panel]");
    this.open.addEventListener("toggle", () => this.#away());
  }

  draw() {
    this.map.draw();
  }

  update(view) {
    this.moves.update(view);
    const map = this.owners.at(view);
    if (map === this.shown) return;
    this.shown = map;
    this.map.update(map);
    attribute(this.canvas, "aria-label", `${wordsOf(map)} Arrow keys move the cursor.`);
    find("[data-map=clusters]").replaceChildren(...map.clusters.map(({ id, accounts, came, left }) => make("tr", {},
      make("th", { scope: "row" }, tag(id)),
      ...[accounts, came, left].map((value) => make("td", { class: "num" }, count(value))))));
    text(find("[data-map=away-title]"), `${map.full ? "At least " : ""}${count(map.away.length)} away from their first home`);
    this.#away();
    this.#busy(view, map.accounts);
  }

  #busy(view, accounts) {
    const history = historyAt(view, accounts);
    show(find("[data-map=busy]"), history !== null);
    drawHistory(find("[data-map=history]"), history, accounts);
    const hottest = hottestAt(view).map(([account, uses]) => `${account} (${count(uses)})`).join(", ");
    text(find("[data-map=hottest]"), hottest ? `Busiest in the last ${RECENT_S} s, with how often at least: ${hottest}.` : "");
  }

  /** The accounts themselves, once somebody wants to see them. */
  #away() {
    if (!this.open.open || !this.shown) return;
    const { away } = this.shown;
    find("[data-map=away]").replaceChildren(...away.slice(0, AWAY_ROWS).map(({ account, home, cluster }) => make("tr", {},
      make("th", { scope: "row", class: "num" }, String(account)), make("td", {}, tag(home)), make("td", {}, tag(cluster)))));
    const more = find("[data-map=away-more]");
    show(more, away.length > AWAY_ROWS);
    text(more, `and ${count(away.length - AWAY_ROWS)} more`);
  }
}
