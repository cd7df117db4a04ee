/** What the frame of each page says of the state on view: badge, held strip, faults, checks. */

import { attribute, find, icon, iconAddress, make, show, text } from "../dom.js";
import { age, count } from "../format.js";
import { activeFaults } from "../select.js";

const MODES = { live: "LIVE", replay: "REPLAY", sim: "SIM" };
/** Checks as chips show them; others go by their own name. */
const SHORT = {
  "Σ balances constant": "Σ constant", "replicas agree": "replicas", "2PC atomic": "2PC", "locks drained": "locks",
};

/** The badge: what is shown, how old it is, how much is missing. */
export function showBadge(store, live) {
  const box = find("#live");
  const status = live ? live.status() : "replay";
  const words = {
    live: MODES.live, stale: "STALE", waiting: "CONNECTING", "signed-out": "SIGNED OUT",
    replay: store.view.src === "sim" ? MODES.sim : MODES.replay,
  };
  const isHeld = store.held && status === "live";
  attribute(box, "data-link", isHeld ? "paused" : status);
  text(find("[data-live=mode]"), isHeld ? (store.paused ? "PAUSED" : MODES.replay) : words[status]);
  text(find("[data-live=age]"), ageOf(store, live));
  text(find("[data-live=gaps]"), `${count(store.view.lost + store.missing)} lost`);
  attribute(box, "data-live-ready", store.head.run ? "" : null);
}

/** Live: since when nothing came. Of a recording: how long ago it was; simulated time has no such thing. */
function ageOf(store, live) {
  if (live) {
    const seconds = live.ageSeconds();
    return seconds === null ? "" : age(seconds);
  }
  return store.view.src === "sim" || !store.view.run ? "" : `${age(Date.now() / 1000 - store.timeline.clock / 1e6)} ago`;
}

/** The strip under the bar while the view is held. */
export function showHeld(store, narrate) {
  const { timeline, live } = store;
  show(find("#held"), store.held);
  const button = find("#live [data-do=pause]");
  attribute(button, "aria-pressed", String(store.paused));
  text(find("[data-live=pause-text]"), store.held ? "Resume" : "Pause");
  attribute(find("[data-live=pause-icon]"), "href", iconAddress(store.held ? "play" : "paused"));
  if (!timeline) return;
  text(find("[data-live=what]"), what(store));
  text(find("[data-live=new]"), `+${count(store.fresh)} new`);
  show(find("#held [data-do=live]"), live);
  const { at, view } = store;
  const told = at ? `at event ${count(at.q)}: ${narrate(at) ?? plain(at)}` : `at event ${count(view.q)}`;
  text(find("[data-live=where]"), timeline.error || (timeline.loading ? "Looking it up" : told));
}

function what({ timeline, live, paused, view }) {
  if (!live) return view.src === "sim" ? "Simulated run" : "Recording";
  if (paused) return "View paused, bank running";
  return `Playing what was, ${age((timeline.end - timeline.clock) / 1e6)} behind`;
}

/** An event that people are usually not told of, in short. */
export function plain(event) {
  const parts = [event.k];
  if (event.n) parts.push(`n${event.n}`);
  if (event.s) parts.push(`slot ${count(event.s)}`);
  return parts.join(" ");
}

export function showFaults(view, live) {
  const faults = activeFaults(view);
  const list = find("[data-faults]");
  show(find("#faults"), faults.length > 0);
  show(find("#faults form"), live);
  if (faults.join("|") === list.dataset.shown) return;
  list.dataset.shown = faults.join("|");
  list.replaceChildren(...faults.map((words) => make("li", {}, words)));
}

/** Chips for the invariants that somebody really checked; none are shown otherwise. */
export function showChecks(view) {
  const box = find("[data-checks]");
  const key = JSON.stringify(view.checks);
  if (!box || box.dataset.shown === key) return;
  box.dataset.shown = key;
  const checks = Object.entries(view.checks);
  show(box, checks.length > 0);
  box.replaceChildren(...checks.map(([name, { ok, detail }]) => chip(name, ok, detail)));
}

function chip(name, ok, detail) {
  const title = `${name}: ${ok ? "holds" : "DOES NOT HOLD"}${detail ? `. ${detail}` : ""}`;
  const words = make("span", { "aria-hidden": "true" }, ok ? (SHORT[name] ?? name) : `NOT ${name}`);
  return make("li", { class: `tag ${ok ? "tag-good" : "tag-bad"}`, title, "data-check": name },
    icon(ok ? "check" : "failed"), words, make("span", { class: "unseen" }, title));
}
