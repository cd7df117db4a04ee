/** Keys of every page; the list stands in templates/partials/key_rows.html. */

import { find } from "../dom.js";

/** How long `g` waits for the letter of a page. */
const GO_MS = 1_500;

const isTyping = (target) =>
  target instanceof Element && target.closest("input:not([type=range]), select, textarea, [contenteditable]") !== null;
const takesSpace = (target) => target instanceof Element && target.closest("button, summary") !== null;

/**
 * @param {Record<"play"|"back"|"forward"|"earlier"|"later"|"live"|"keys"|"close", () => void>} actions
 */
export function startKeyboard(actions) {
  let goUntil = 0;
  const pages = {
    c: "Cluster", x: "Consensus", t: "Transactions", m: "Shards", r: "Redistribution", b: "Benchmarks", s: "Test sets", v: "Recordings", h: "Help",
  };

  function go(key) {
    const links = [...document.querySelectorAll(".nav a")];
    links.find((link) => link.textContent.trim() === pages[key])?.click();
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") actions.close();
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.timeStamp < goUntil && event.key in pages) {
      goUntil = 0;
      go(event.key);
      return;
    }
    const act = {
      " ": takesSpace(event.target) ? null : actions.play,
      ",": actions.back,
      ".": actions.forward,
      "[": actions.earlier,
      "]": actions.later,
      l: actions.live,
      L: actions.live,
      "?": actions.keys,
      "/": () => find("main input:not([type=hidden])")?.focus(),
      g: () => { goUntil = event.timeStamp + GO_MS; },
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
