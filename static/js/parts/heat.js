/** Colours of maps: a cluster's hue, lighter or darker by heat; and Cividis for heat alone. */

/** Cividis (Nuñez, Anderton and Renslow 2018) at nine points. */
const CIVIDIS = [
  [0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115],
  [138, 134, 120], [165, 156, 116], [195, 179, 105], [254, 232, 56],
];

/** A colour of the scale for `share` from 0 to 1, as [red, green, blue]. */
export function cividis(share) {
  const at = Math.min(1, Math.max(0, share)) * (CIVIDIS.length - 1);
  const low = Math.floor(at);
  const high = Math.min(CIVIDIS.length - 1, low + 1);
  return CIVIDIS[low].map((value, i) => Math.round(value + (CIVIDIS[high][i] - value) * (at - low)));
}

/** Heat on a log scale: 0 for none, 1 for the busiest. */
export function share(heat, most) {
  return heat > 0 && most > 0 ? Math.log1p(heat) / Math.log1p(most) : 0;
}

/** A cluster's colour for a share of heat: from near the ground to the full hue. */
export function tinted([red, green, blue], ground, heat) {
  const weight = 0.22 + 0.78 * heat;
  return [red, green, blue].map((value, i) => Math.round(ground[i] + (value - ground[i]) * weight));
}

/** "rgb(1, 2, 3)" → [1, 2, 3] */
export const channels = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);

/** Columns and rows of a map of `count` cells that is about ten to six. */
export function shape(count) {
  const columns = Math.max(1, Math.ceil(Math.sqrt((count * 10) / 6)));
  return { columns, rows: Math.ceil(count / columns) };
}
