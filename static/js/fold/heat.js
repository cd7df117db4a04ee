/** How busy accounts were, by time: a part of the fold. Twin of consensus/trace/fold_heat.py. */

/** Width of a row, in microseconds. */
export const ROW_US = 2_000_000;
/** The last minute. */
export const ROWS_MAX = 30;
/** Rows that a late window may still be added to. */
const ROWS_BACK = 3;
/** Accounts in a row, of all nodes together. */
const TOP_MAX = 60;

/** Accounts were used at a node: `heat` by neighbourhood, `topk` those used most. */
export function used(draft, event) {
  const row = draft.row("heat", { ts: event.ts - (event.ts % ROW_US), uses: {}, top: {} }, ROWS_MAX, ROWS_BACK);
  if (!row) return;
  const uses = draft.own(row, "uses");
  for (const [number, count] of Object.entries(event.heat)) uses[number] = (uses[number] ?? 0) + count;
  const top = draft.own(row, "top");
  for (const [account, count] of event.topk ?? []) top[account] = (top[account] ?? 0) + count;
  const entries = Object.entries(top);
  if (entries.length <= TOP_MAX) return;
  entries.sort(([a, x], [b, y]) => y - x || Number(a) - Number(b));
  row.top = Object.fromEntries(entries.slice(0, TOP_MAX));
}
