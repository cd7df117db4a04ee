/** Opens a node's drawer when its card is chosen. The address names it, so a link opens it, too. */

import { attribute, find, findAll } from "../dom.js";

const PATTERN = /^#node-\d+$/;

export function startDrawers() {
  let scrolledTo = 0;
  const mark = (focus) => {
    const open = PATTERN.test(location.hash) ? find(location.hash) : null;
    for (const card of findAll("[data-node]")) {
      attribute(card, "aria-expanded", String(open?.dataset.drawer === card.dataset.node));
    }
    if (open && focus) open.focus({ preventScroll: true });
    // On a narrow screen the drawer lies over the page, which the jump to it should leave where it was.
    if (open && focus && getComputedStyle(open).position === "fixed") scrollTo(scrollX, scrolledTo);
  };
  addEventListener("hashchange", () => mark(true));
  document.addEventListener("click", (event) => {
    scrolledTo = scrollY;
    if (!event.target.closest("[data-do=close-drawer]")) return;
    event.preventDefault();
    closeDrawer();
  });
  mark(false);
}

/** Close the drawer and give the focus back to the node's card. */
export function closeDrawer() {
  if (!PATTERN.test(location.hash)) return;
  const id = location.hash.slice("#node-".length);
  const { scrollX, scrollY } = window;
  location.hash = "";
  history.replaceState(null, "", location.pathname + location.search);
  scrollTo(scrollX, scrollY);
  find(`[data-node="${id}"]`)?.focus({ preventScroll: true });
}
