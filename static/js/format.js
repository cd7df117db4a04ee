/** Numbers, times and names as people read them. */

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});

/** 12345 → "12,345" */
export const count = (value) => grouped.format(value);

/** Per second: one decimal below ten, whole numbers above; a dash for none. */
export function rate(value) {
  if (value === null) return "–";
  return value > 0 && value < 9.95 ? value.toFixed(1) : grouped.format(value);
}

/** Milliseconds to three significant digits; a dash for none. */
export function millis(value) {
  if (value === null || value === undefined) return "–";
  if (value < 9.995) return value.toFixed(2);
  return value < 99.95 ? value.toFixed(1) : grouped.format(value);
}

/** [2, 5] → "(2,5)"; a dash for no ballot yet. */
export const ballot = ([round, node]) => (round === 0 ? "–" : `(${round},${node})`);

/** UTC microseconds → local time of day. */
export const timeOfDay = (micros) => clock.format(new Date(micros / 1000));

/** Seconds that something is old: "0.1 s", "12 s", "3 min". */
export function age(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
