/** Order of two ballots `[round, node]`: negative, zero or positive. */
export function compareBallots(a, b) {
  return a[0] - b[0] || a[1] - b[1];
}
