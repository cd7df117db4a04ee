/** Short messages at the edge. They leave by themselves unless they tell of trouble. */

import { find, icon, make } from "../dom.js";

const STAY_MS = 6_000;
const TOASTS_MAX = 4;

/** @param {"info"|"good"|"warn"|"bad"} tone */
export function toast(words, tone = "info") {
  const button = make("button", { class: "icon-button", type: "button", "data-do": "dismiss" });
  button.append(icon("close"), make("span", { class: "unseen" }, "Dismiss"));
  find("#toasts").append(make("div", { class: `toast toast-${tone}`, "data-toast": "" }, make("p", {}, words), button));
}

const isTrouble = (element) => /toast-(bad|error)/.test(element.className);

/** Watches over all toasts, also those the server sends. */
export function startToasts() {
  const box = find("#toasts");
  const settle = () => {
    const toasts = [...box.children];
    for (const old of toasts.slice(0, Math.max(0, toasts.length - TOASTS_MAX))) old.remove();
    for (const element of box.children) {
      if (element.dataset.timed) continue;
      element.dataset.timed = "yes";
      if (!isTrouble(element)) setTimeout(() => element.remove(), STAY_MS);
    }
  };
  new MutationObserver(settle).observe(box, { childList: true });
  settle();
}
