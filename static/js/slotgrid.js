/**
 * Slots of one cluster by replica, as a grid or, when there are too many to tell apart, as a strip of rates.
 *
 * Pure: a state in (reducer.js), rows and columns out; nothing of the document.
 */

import { ballot } from "./format.js";
import { PACE_MAX, PACE_US } from "./fold/paxos.js";

/** What a replica has of a slot, in the order in which it comes to have it. */
export const STAGES = ["promised", "accepted", "chosen", "applied"];
export const GLYPHS = { promised: "○", accepted: "◐", chosen: "●", applied: "■" };
/** Above so many slots a second there is a strip; below the second number there is a grid again. */
export const STRIP_ABOVE = 200;
export const GRID_BELOW = 150;
/** Rates are taken over so long, in microseconds. */
const RATE_US = 1_000_000;
/** A cluster that told nothing for so long stands still. */
const QUIET_US = 2_000_000;

/** What is known of a cluster's consensus; empty lists for one that nothing is known of. */
export function groupOf(state, cluster) {
  return state.paxos?.[cluster] ?? { slots: [], views: [], messages: [], elections: [], pace: [] };
}

/** The replicas of a cluster as the state has them. */
export function replicasOf(state, cluster) {
  return (state.clusters[cluster]?.nodes ?? []).map((id) => state.nodes[id]);
}

/**
 * What a replica has of a slot: `stage` is one of STAGES or "" where nothing is known, `b` the ballot in which it
 * accepted the slot or, before that, the one it has promised; null where that was not told.
 */
export function cellOf(slot, node) {
  const known = slot.at[node.id];
  const b = known && known.b[0] > 0 ? known.b : null;
  if (known?.applied || slot.s <= node.applied) return { stage: "applied", b };
  if (known?.chosen || slot.s <= node.watermark) return { stage: "chosen", b };
  if (known?.accepted) return { stage: "accepted", b };
  return node.ballot[0] > 0 ? { stage: "promised", b: node.ballot } : { stage: "", b: null };
}

/**
 * The last slots, oldest first, and the one that comes next.
 * @param {object} state
 * @param {number} cluster
 * @param {number} most columns
 * @returns {{nodes: object[], columns: object[]}} a column has `s`, `missing` (slots before it that were not recorded),
 *   `next` (nobody has proposed it yet), `has`, `count`, `tx`, `b`, and a cell for each node
 */
export function slotGrid(state, cluster, most) {
  const nodes = replicasOf(state, cluster);
  const { slots } = groupOf(state, cluster);
  const known = slots.slice(-Math.max(1, most - 1));
  const top = Math.max(0, known.at(-1)?.s ?? 0, ...nodes.map((node) => node.watermark));
  const next = { s: top + 1, b: [0, 0], has: [], count: 0, tx: [], at: {}, ts: 0 };
  let before = null;
  const columns = [...known, next].map((slot) => {
    const missing = before === null ? 0 : slot.s - before - 1;
    before = slot.s;
    return { ...slot, missing, next: slot === next, cells: nodes.map((node) => cellOf(slot, node)) };
  });
  return { nodes, columns };
}

/** How many slots a cluster has chosen a second, lately. */
export function slotRate(state, cluster) {
  const { pace } = groupOf(state, cluster);
  if (pace.length < 2 || state.ts - pace.at(-1).ts > QUIET_US) return 0;
  const tops = [];
  let top = 0;
  for (const { ts, at } of pace) {
    top = Math.max(top, ...Object.values(at).map(([watermark]) => watermark));
    tops.push([ts, top]);
  }
  const [end, last] = tops.at(-1);
  const [start, first] = tops.findLast(([ts]) => ts <= end - RATE_US) ?? tops[0];
  return ((last - first) * 1e6) / (end - start);
}

/** Whether a strip stands in for the grid. `was`: whether it does so now. A view that stands still shows its slots. */
export const wantsStrip = (rate, was, paused) => !paused && rate > (was ? GRID_BELOW : STRIP_ABOVE);

/**
 * Slots applied a second, by replica and quarter of a second.
 * @returns {{nodes: object[], times: number[], rows: (number | null)[][], most: number}} null: nothing was told
 */
export function paceStrip(state, cluster) {
  const nodes = replicasOf(state, cluster);
  const { pace } = groupOf(state, cluster);
  const end = pace.at(-1)?.ts ?? 0;
  const start = Math.max(pace[0]?.ts ?? 0, end - (PACE_MAX - 1) * PACE_US);
  const told = new Map(pace.map(({ ts, at }) => [ts, at]));
  const times = [];
  for (let ts = start; ts <= end && pace.length > 0; ts += PACE_US) times.push(ts);
  const rows = nodes.map((node) => {
    let before = null;
    return times.map((ts) => {
      const now = told.get(ts)?.[node.id]?.[1] ?? before;
      const rate = before === null || now === null ? null : (Math.max(0, now - before) * 1e6) / PACE_US;
      before = now;
      return rate;
    });
  });
  return { nodes, times, rows, most: Math.max(0, ...rows.flat().filter((rate) => rate !== null)) };
}

// --- words ---------------------------------------------------------------------------------------------

/** What stands under a column: how many transactions, or what else is in the slot. */
export function contents(column) {
  if (column.next) return "next";
  if (column.count > 0) return String(column.count);
  if (column.has.includes("new view")) return "NV";
  return column.has.length === 0 ? "" : "·";
}

/** What is in a slot, in words. */
export function contentsInWords(column) {
  if (column.next) return "nobody has proposed it yet";
  if (column.has.length === 0) return "what is in it was not told";
  const count = column.count === 1 ? "1 transaction" : `${column.count} transactions`;
  return column.count > 0 ? `${column.has.join(", ")}; ${count}` : column.has.join(", ");
}

/** A cell in words. */
export function cellInWords(column, node, cell) {
  const where = `Slot ${column.s} on n${node.id}`;
  if (cell.stage === "") return `${where}: nothing is known`;
  if (cell.stage === "promised") return `${where}: not accepted; the replica has promised ballot ${ballot(cell.b)}`;
  return `${where}: ${cell.stage}, ${cell.b === null ? "ballot not told" : `ballot ${ballot(cell.b)}`}`;
}
