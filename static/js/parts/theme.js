/** The theme switch: system, light, dark, in turn. */

import { find, text } from "../dom.js";

const NEXT = { system: "light", light: "dark", dark: "system" };

const current = () => document.documentElement.dataset.theme ?? "system";

function set(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", theme);
  } catch {
    // Storage may be blocked; the choice then lasts as long as the page.
  }
}

/** Calls `changed` whenever colours are others, by the switch or by the system. */
export function startTheme(changed) {
  const button = find("[data-do=theme]");
  const label = () => {
    const words = `Theme: ${current()}`;
    text(find("[data-theme-text]"), words);
    if (button) button.title = words;
  };
  button?.addEventListener("click", () => {
    set(NEXT[current()]);
    label();
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  if (button) button.hidden = false;
  label();
}
