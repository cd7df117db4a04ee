/**
 * How busy accounts were in the time before the moment of a state.
 *
 * Pure. Events tell of neighbourhoods of accounts, and of those accounts that were used most.
 */

import { ROW_US, ROWS_MAX } from "./fold/heat.js";

/** Neighbourhoods that `heat` counts by, as consensus/trace/events.py has it. */
const BINS = 90;
/** Rows that count for how busy an account is now, and seconds of them. */
const RECENT_ROWS = 5;
export const RECENT_S = (RECENT_ROWS * ROW_US) / 1e6;
const HOT = 10;

const binsOf = (accounts) => Math.min(BINS, accounts);

/** How many accounts share a neighbourhood; 0: each is its own. */
export const nearOf = (accounts) => (accounts > BINS ? Math.ceil(accounts / BINS) : 0);

/** Where the row begins that the moment of a state is in: with it, what is told here changes. */
export const startOf = (state) => state.ts - (state.ts % ROW_US);

/** Uses by time, newest on top, and neighbourhood: for drawHistory. Null where nothing is known. */
export function historyAt(state, accounts) {
  if (!state.heat?.length) return null;
  const bins = binsOf(accounts);
  const rows = Array.from({ length: ROWS_MAX }, () => new Array(bins).fill(0));
  for (const { ts, uses } of state.heat) {
    const row = rows[(startOf(state) - ts) / ROW_US];
    if (row) for (const [bin, count] of Object.entries(uses)) row[bin] += count;
  }
  return { bucket_s: ROW_US / 1e6, bins, rows };
}

/**
 * How busy the neighbourhood of each cell of a map was in the last `RECENT_S` seconds. Null where nothing is known.
 *
 * @param {object} state
 * @param {{accounts: number, per_cell: number, cells: number}} shape
 */
export function heatAt(state, { accounts, per_cell: perCell, cells }) {
  const history = historyAt(state, accounts);
  if (!history) return null;
  const { bins, rows } = history;
  const recent = new Array(bins).fill(0);
  for (const row of rows.slice(0, RECENT_ROWS)) row.forEach((count, bin) => (recent[bin] += count));
  return Array.from({ length: cells }, (_, cell) => recent[Math.floor((cell * perCell * bins) / accounts)]);
}

/** The accounts used most in the last `RECENT_S` seconds, most used first: `[[account, count], …]`. */
export function hottestAt(state) {
  const since = startOf(state) - RECENT_ROWS * ROW_US;
  const sums = new Map();
  for (const { ts, top } of state.heat ?? []) {
    if (ts <= since) continue;
    for (const [account, count] of Object.entries(top)) sums.set(Number(account), (sums.get(Number(account)) ?? 0) + count);
  }
  return [...sums].sort(([a, x], [b, y]) => y - x || a - b).slice(0, HOT);
}
