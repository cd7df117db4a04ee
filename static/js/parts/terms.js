/** Terms of the glossary in what pages say: their definition on hover and on focus. */

import { find, findAll, make } from "../dom.js";
import { termFinder } from "../glossary.js";

const GAP_PX = 6;
const SKIPPED = "a, button, input, select, textarea, code, pre, option, .term, [data-no-terms]";
let glossary = null;
let pieces = null;
let tip = null;

/** What a page says in words of its own, where terms are looked for. */
const SAYS = ".page-head p, .panel-head p, main dt, main th";

/** Fetch the glossary, mark its terms, and answer hover and focus everywhere. */
export async function startTerms() {
  const answer = await fetch(new URL("../glossary.json", import.meta.url));
  glossary = await answer.json();
  pieces = termFinder(glossary);
  tip = make("div", { id: "term-tip", role: "tooltip", class: "term-tip", hidden: "" });
  document.body.append(tip);
  for (const [begin, end] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
    document.addEventListener(begin, (event) => show(event.target.closest?.(".term")));
    document.addEventListener(end, (event) => event.target.closest?.(".term") && hide());
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  document.addEventListener("scroll", hide, { capture: true, passive: true });
  const main = find("main");
  findAll(SAYS).forEach((root) => markTerms(root, main));
}

/**
 * Make terms of what a piece of the page says; the first of each under `within` can be focused, too.
 * @param {Element} root
 */
export function markTerms(root, within = root) {
  if (!pieces) return;
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) if (!texts.currentNode.parentElement.closest(SKIPPED)) found.push(texts.currentNode);
  for (const node of found) {
    const parts = pieces(node.data);
    if (parts.length === 1 && !parts[0].term) continue;
    node.replaceWith(...parts.map(({ text, term }) => (term ? termOf(text, term, within) : text)));
  }
}

function termOf(text, term, within) {
  const span = make("span", { class: "term", "data-term": term }, text);
  const known = within.querySelector(`.term[tabindex][data-term="${CSS.escape(term)}"]`);
  if (!known && !within.dataset.focusing?.split("|").includes(term)) {
    span.tabIndex = 0;
    within.dataset.focusing = `${within.dataset.focusing ?? ""}|${term}`;
  }
  return span;
}

function show(term) {
  if (!term) return;
  tip.replaceChildren(make("strong", {}, term.dataset.term), ` ${glossary.terms[term.dataset.term]}`);
  // Inside an open dialog only what belongs to it is seen.
  (term.closest("dialog") ?? document.body).append(tip);
  tip.hidden = false;
  term.setAttribute("aria-describedby", tip.id);
  const at = term.getBoundingClientRect();
  const { offsetWidth, offsetHeight } = tip;
  const below = at.bottom + GAP_PX + offsetHeight < innerHeight;
  tip.style.left = `${Math.max(GAP_PX, Math.min(at.left, innerWidth - offsetWidth - GAP_PX))}px`;
  tip.style.top = `${below ? at.bottom + GAP_PX : at.top - GAP_PX - offsetHeight}px`;
}

function hide() {
  if (tip.hidden) return;
  tip.hidden = true;
  document.querySelector("[aria-describedby=term-tip]")?.removeAttribute("aria-describedby");
}
