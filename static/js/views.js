/** What the folded views of a cluster (reducer.js, `paxos[cluster].views`) tell. Pure. */

/** The events that a view was folded from, as far as it tells them: what the narrator knows to say. */
export function eventsOf(view, cluster) {
  const common = { cl: cluster, b: view.b, ts: view.ts };
  const found = [];
  if (view.why) {
    const why = { why: view.why, since_ms: view.since_ms || undefined, silent: view.silent || undefined };
    found.push({ k: "paxos.ballot", n: view.n, ...common, ...why });
  }
  for (const node of view.promised.filter((node) => node !== view.n)) found.push({ k: "paxos.ballot", n: node, ...common });
  if (view.led) {
    const { w, quorum, again } = view;
    found.push({ k: "paxos.leader", n: view.n, leader: view.n, ...common, ts: view.led, w, quorum, again });
  }
  return found;
}

/** How a ballot ended, in a word. */
export function endOf(view, views) {
  if (view.led) return views.at(-1) === view ? "leads" : "led";
  return views.at(-1) === view ? "open" : "came to nothing";
}
