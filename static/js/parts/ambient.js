/** What ambient traffic does now, beside its switch. */

import { attribute, find, text } from "../dom.js";

/** @param {{mode: string, rate: number, why: string}} ambient */
export function ambientWords({ mode, rate, why }) {
  if (mode === "on") return `${rate} transfers/s`;
  if (mode === "off") return "off";
  return mode === "silent" ? `silent during ${why}` : `paused: ${why}`;
}

/** @param {object} view the state on view */
export function showAmbient(view) {
  if (!view.ambient) return;
  attribute(find("#ambient"), "data-mode", view.ambient.mode);
  text(find("[data-ambient]"), ambientWords(view.ambient));
}
