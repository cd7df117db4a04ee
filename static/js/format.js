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

/** A moment to the millisecond: time of day, or in a simulated run seconds since its start. */
export function moment(micros, source = "live", start = 0) {
  if (source === "sim") return `${((micros - start) / 1e6).toFixed(3)} s`;
  return `${timeOfDay(micros)}.${String(Math.floor(micros / 1000) % 1000).padStart(3, "0")}`;
}

/** Speed of a film: "1×", "1/100×", "2.5×". */
export function pace(speed) {
  if (speed >= 0.995) return `${speed.toFixed(speed < 9.95 ? 1 : 0).replace(".0", "")}×`;
  return `1/${count(1 / speed)}×`;
}

/** Seconds that something is old: "0.1 s", "12 s", "3 min". */
export function age(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
