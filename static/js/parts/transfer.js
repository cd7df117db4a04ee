/** Says, while somebody types, which clusters a transfer touches and which path it takes. */

import { find, text } from "../dom.js";
import { clusterOf, leaderOf } from "../select.js";

/** @returns {(view: object) => void} to be called when the state changed */
export function startTransfer() {
  let view = null;
  const update = () => {
    const form = find("[data-transfer]");
    if (!form || !view) return;
    const value = (name) => Number(form.elements[name].value || NaN);
    text(find("[data-preview]"), preview(view, value("sender"), value("receiver")));
  };
  document.addEventListener("input", (event) => {
    if (event.target.closest("[data-transfer]")) update();
  });
  document.addEventListener("htmx:afterSwap", update);
  return (next) => {
    view = next;
    update();
  };
}

/** The sentence under the form. */
export function preview(view, sender, receiver) {
  const last = Math.max(0, ...Object.values(view.clusters).map((cluster) => cluster.last));
  if (!Number.isFinite(sender) && !Number.isFinite(receiver)) return `Any two of the accounts 1–${last}.`;
  for (const account of [sender, receiver]) {
    if (Number.isFinite(account) && !(Number.isInteger(account) && clusterOf(view, account))) {
      return `There is no account ${account}; accounts are 1–${last}.`;
    }
  }
  if (sender === receiver) return "Sender and receiver are the same account.";
  const from = clusterOf(view, sender);
  const to = clusterOf(view, receiver);
  if (!from || !to) {
    const known = from ?? to;
    return `Account ${from ? sender : receiver} is in cluster ${known.id}.`;
  }
  if (from === to) return `Both in cluster ${from.id}: ${decider(view, from)}`;
  return `Clusters ${from.id} and ${to.id}: two-phase commit, ${side(view, from)} coordinates, ${side(view, to)} takes part.`;
}

function side(view, cluster) {
  const leader = leaderOf(view, cluster.id);
  return leader ? `n${leader}` : `cluster ${cluster.id} (no leader now)`;
}

function decider(view, cluster) {
  const leader = leaderOf(view, cluster.id);
  return leader ? `one Paxos group decides, n${leader} leads it.` : "it has no leader now; the transfer waits for one.";
}
