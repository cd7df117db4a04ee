/** Loads the trace fixtures that the Python tests share. */

import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../data/traces/", import.meta.url));

export const names = readdirSync(folder)
  .filter((name) => name.endsWith(".ndjson"))
  .map((name) => name.slice(0, -".ndjson".length));

/** @returns {{header: object, events: object[], states: [number, object][]}} */
export function load(name) {
  const lines = readFileSync(`${folder}${name}.ndjson`, "utf8").trimEnd().split("\n").map(JSON.parse);
  const states = JSON.parse(readFileSync(`${folder}${name}.states.json`, "utf8"));
  return { header: lines[0], events: lines.slice(1), states };
}
