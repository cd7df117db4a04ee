/** Says changes of leaders and nodes to those who do not see the stage. */

import { find, text } from "../dom.js";

const SPOKEN = new Set([
  "paxos.leader", "node.up", "node.down", "node.fail", "node.recover", "node.pause", "check", "link.cut",
]);

/** @returns {(view: object) => void} */
export function startAnnouncements(narrate) {
  let last = null;
  return (view) => {
    const news = last === null ? [] : view.feed.filter((event) => event.q > last && SPOKEN.has(event.k));
    last = Math.max(last ?? 0, view.q);
    if (news.length > 0) text(find("[data-announce]"), news.slice(-3).map((event) => narrate(event)).join(". "));
  };
}
