/** At which level events are told: plain, as in the course, or with their place in a paper. Chosen once, remembered. */

import { findAll } from "./dom.js";
import { LEVELS } from "./narrate.js";

const KEY = "told";
let chosen = read();

function read() {
  try {
    const stored = localStorage.getItem(KEY);
    return LEVELS.includes(stored) ? stored : LEVELS[0];
  } catch {
    return LEVELS[0]; // Storage may be blocked; the choice then lasts as long as the page.
  }
}

/** @param {(event: object, level?: string) => string | null} narrate */
export const leveled = (narrate) => (event, level = chosen) => narrate(event, level);

/** Every `[data-level]` chooses, and shows what is chosen. `changed` is called after a choice. */
export function startLevels(changed) {
  const show = () => findAll("[data-level]").forEach((choice) => {
    choice.value = chosen;
  });
  document.addEventListener("change", (event) => {
    const choice = event.target.closest?.("[data-level]");
    if (!choice) return;
    chosen = choice.value;
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // As above.
    }
    show();
    changed();
  });
  show();
}
