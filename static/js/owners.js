/**
 * Who owned which account at the moment of a state, the first ranges and what has moved since; and how busy each was.
 *
 * Pure. Of a large bank several neighbours share a cell; it has the owner of its first account, as on the live map.
 */

import { heatAt, nearOf, RECENT_S, startOf } from "./busy.js";
import { OWNERS_MAX } from "./fold/moves.js";

const CELLS_MAX = 9_000;

/** A map for parts/shardmap.js; what was read is remembered until one of these parts changes. */
export class OwnersMap {
  constructor() {
    this.of = [];
    this.map = null;
  }

  /** The map of a state; the same object while owners, moves and how busy accounts were are the same. */
  at(state) {
    // What was lately is not any more where the time goes on without events of it.
    const of = [state.run, state.owners, state.moves, state.heat, state.heat?.length ? startOf(state) : 0];
    if (of.some((part, index) => part !== this.of[index])) this.map = ownersAt(state);
    this.of = of;
    return this.map;
  }
}

/**
 * @param {object} state a fold
 * @param {number} most cells
 * @returns {{accounts: number, clusters: {id: number, accounts: number, first: number, came: number, left: number}[],
 *   per_cell: number, cells: number[], homes: number[], heat: number[] | null, recent_s: number, near: number,
 *   moving: {account: number, from: number, to: number}[],
 *   away: {account: number, home: number, cluster: number}[], full: boolean}} `full`: more have moved than are known;
 *   `heat`: uses of the `near` accounts that are around each cell's, in `recent_s` seconds
 */
export function ownersAt(state, most = CELLS_MAX) {
  const clusters = Object.values(state.clusters).map(({ id, first, last }) =>
    ({ id, first, last, accounts: Math.max(0, last - first + 1), came: 0, left: 0 }));
  const accounts = Math.max(0, ...clusters.map(({ last }) => last));
  const homeOf = (account) => clusters.find(({ first, last }) => first <= account && account <= last);
  const perCell = Math.max(1, Math.ceil(accounts / most));
  const homes = new Array(Math.ceil(accounts / perCell)).fill(0);
  for (const { id, first, last } of clusters) {
    homes.fill(id, Math.ceil((first - 1) / perCell), Math.floor((last - 1) / perCell) + 1);
  }
  const cells = [...homes];
  const away = [];
  const byId = new Map(clusters.map((cluster) => [cluster.id, cluster]));
  for (const [key, [id]] of Object.entries(state.owners ?? {})) {
    const account = Number(key);
    const home = homeOf(account);
    const owner = byId.get(id);
    if (!home || !owner || home === owner) continue;
    away.push({ account, home: home.id, cluster: id });
    owner.accounts += 1;
    owner.came += 1;
    home.accounts -= 1;
    home.left += 1;
    if ((account - 1) % perCell === 0) cells[(account - 1) / perCell] = id;
  }
  const moving = (state.moves ?? []).filter(({ is }) => is === "moving")
    .flatMap(({ accounts: batch, from, to }) => batch.map((account) => ({ account, from, to })));
  return {
    accounts, clusters, per_cell: perCell, cells, homes, moving, away,
    heat: heatAt(state, { accounts, per_cell: perCell, cells: cells.length }), recent_s: RECENT_S,
    near: nearOf(accounts),
    full: Object.keys(state.owners ?? {}).length >= OWNERS_MAX,
  };
}
