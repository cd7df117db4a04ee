/** The table beside the canvas: messages per second on each link. Filled only while it is open. */

import { find, make } from "../dom.js";
import { rate } from "../format.js";
import { linkRates } from "../select.js";

const EVERY_MS = 1_000;

/** @returns {(view: object) => void} */
export function startRates() {
  const body = find("[data-rates]");
  const details = body.closest("details");
  let last = -EVERY_MS;
  return (view) => {
    const now = performance.now();
    if (!details.open || now - last < EVERY_MS) return;
    last = now;
    const rows = Object.entries(linkRates(view));
    if (rows.length === 0) return;
    rows.sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
    body.replaceChildren(...rows.map(([key, row]) => {
      const [a, b] = key.split(">");
      const cells = [row.accept + row.accepted, row.repair, row.twopc, row.election, row.heartbeat];
      return make("tr", {}, make("td", {}, `n${a} → n${b}`),
        ...cells.map((value) => make("td", { class: "num" }, rate(value))));
    }));
  };
}
