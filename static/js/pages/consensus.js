/** The Consensus page of one cluster: slots by replica, what is in one, its messages in space and time, its ballots. */

import { attribute, find, findAll, text } from "../dom.js";
import { ballot, count, rate } from "../format.js";
import { Ballots } from "../parts/ballots.js";
import { SlotDetail } from "../parts/slotdetail.js";
import { SlotGrid } from "../parts/slotgrid.js";
import { SpaceTime } from "../parts/spacetime.js";
import { ViewLog } from "../parts/viewlog.js";
import { leaderSentence } from "../select.js";
import { groupOf, replicasOf, slotRate } from "../slotgrid.js";
import { newestWhole } from "../spacetime.js";

/** The diagram moves on to a newer slot at most so often, so that it can be read. */
const FOLLOW_MS = 1_500;
/** Messages in a diagram of everything. */
const LAST = 30;

/** What the visitor looks at: the newest slot, the last messages, one slot, or one ballot. It stands in the address. */
class Wanted {
  constructor() {
    const asked = new URLSearchParams(location.search);
    const slot = Number(asked.get("slot"));
    const parts = (asked.get("ballot") ?? "").split(".").map(Number);
    this.slot = Number.isSafeInteger(slot) && slot > 0 ? slot : 0;
    this.ballot = !this.slot && parts.length === 2 && parts.every(Number.isSafeInteger) ? parts : null;
    this.last = asked.get("show") === "last";
  }

  set({ slot = 0, ballot = null, last = false }) {
    Object.assign(this, { slot, ballot, last });
    const address = new URL(location.href);
    for (const name of ["slot", "ballot", "show"]) address.searchParams.delete(name);
    if (slot) address.searchParams.set("slot", slot);
    if (ballot) address.searchParams.set("ballot", ballot.join("."));
    if (last) address.searchParams.set("show", "last");
    history.replaceState(history.state, "", address);
  }
}

/** @param {{store: import("../store.js").Store, narrate: Function, moves: import("../moves.js").Moves, onTheme: Function,
 *   onLevel: Function}} shell */
export function start({ store, narrate, moves, onTheme, onLevel }) {
  const page = new ConsensusPage(find("[data-consensus]"), { store, narrate, moves });
  onTheme(() => page.grid.recolour());
  onLevel(() => page.ballots.retell());
  store.subscribe(() => page.show());
}

class ConsensusPage {
  constructor(root, { store, narrate, moves }) {
    this.root = root;
    this.store = store;
    this.moves = moves;
    this.cluster = Number(root.dataset.consensus);
    this.wanted = new Wanted();
    this.followed = { slot: 0, at: -FOLLOW_MS };
    /** The chosen slot as it was last seen: a state keeps the last ones only. */
    this.remembered = null;
    this.grid = new SlotGrid(find("[data-panel=grid]"), (slot) => this.want({ slot }));
    this.detail = new SlotDetail(find("[data-panel=slot]"), root.dataset.transaction);
    this.diagram = new SpaceTime(find("[data-panel=spacetime]"));
    this.ballots = new Ballots(find("[data-panel=views]"), narrate, (b) => this.want({ ballot: b }));
    for (const button of findAll("[data-show]")) {
      button.addEventListener("click", () => this.want({ last: button.dataset.show === "last" }));
    }
    const log = find("[data-viewlog]");
    this.log = log ? new ViewLog(log, this.cluster) : null;
    this.grid.point(this.wanted.slot);
  }

  want(what) {
    this.wanted.set(what);
    this.remembered = null;
    this.grid.point(this.wanted.slot);
    this.show();
  }

  show() {
    const { view } = this.store;
    if (!view.run) return;
    const nodes = replicasOf(view, this.cluster);
    const group = groupOf(view, this.cluster);
    this.#follow(group, nodes);
    this.#head(view, nodes);
    this.grid.update(view, this.cluster, this.store.paused);
    this.#slot(group, nodes);
    this.#messages(group, nodes);
    this.ballots.update(group, this.cluster, this.wanted.ballot);
    this.log?.update(view.clusters[this.cluster]?.ballot);
    this.root.dataset.ready = "";
  }

  #follow(group, nodes) {
    const { followed } = this;
    const now = performance.now();
    if (!this.store.held && now - followed.at < FOLLOW_MS) return;
    const newest = newestWhole(group, nodes);
    if (newest !== followed.slot) followed.at = now;
    followed.slot = newest;
  }

  #head(view, nodes) {
    this.#tabs();
    const known = view.clusters[this.cluster];
    text(find("[data-head=leader]"), known ? leaderSentence(view, known) : "there is no such cluster here");
    const top = Math.max(0, ...nodes.map((node) => node.watermark));
    text(find("[data-head=rate]"), `${rate(slotRate(view, this.cluster))} slots/s, chosen up to ${count(top)}`);
  }

  /** While the view is held, the other clusters are shown at the same moment. */
  #tabs() {
    const search = this.store.held ? new URL(this.moves.link()).search : "";
    for (const tab of findAll("[data-tab]")) attribute(tab, "href", `${tab.dataset.tab}${search}`);
  }

  /** The chosen slot, or else the one that the diagram follows. */
  #slot({ slots }, nodes) {
    const number = this.wanted.slot || this.followed.slot;
    const found = slots.find(({ s }) => s === number) ?? null;
    if (found && this.wanted.slot) this.remembered = found;
    this.detail.update(number, found ?? this.remembered, nodes, found === null && this.remembered !== null);
  }

  #messages(group, nodes) {
    const { slot, ballot: chosen, last } = this.wanted;
    for (const button of findAll("[data-show]")) {
      attribute(button, "aria-pressed", String(!slot && !chosen && (button.dataset.show === "last") === last));
    }
    const [what, name] = this.#looked();
    text(find("[data-spacetime=title]"), `Messages of ${name}`);
    // Live, messages leave the state before their slot leaves the eye: what was seen of it stays.
    this.diagram.update(group, nodes, what, { name, grows: !this.store.held && what.most === undefined });
  }

  /** What the diagram shows, and its name. */
  #looked() {
    const { wanted, followed } = this;
    if (wanted.slot) return [{ slot: wanted.slot }, `slot ${count(wanted.slot)}`];
    if (wanted.ballot) return [{ ballot: wanted.ballot }, `ballot ${ballot(wanted.ballot)}`];
    const lately = [{ most: LAST }, "the last moment"];
    if (wanted.last) return lately;
    return followed.slot ? [{ slot: followed.slot }, `slot ${count(followed.slot)}, the newest`] : lately;
  }
}
