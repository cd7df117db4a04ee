/** The frame of every page: the live state and its controls, faults, checks, theme, keys. */

import { attribute, find, findAll, icon, iconAddress, make, show, text } from "./dom.js";
import { age, count } from "./format.js";
import { Live } from "./live.js";
import { narrator } from "./narrate.js";
import { startCopy } from "./parts/copy.js";
import { startAnnouncements } from "./parts/announce.js";
import { closeDrawer } from "./parts/drawer.js";
import { startKeyboard } from "./parts/keyboard.js";
import { startTheme } from "./parts/theme.js";
import { startToasts, toast } from "./parts/toasts.js";
import { activeFaults } from "./select.js";
import { Store } from "./store.js";

/** Modules of pages, by the import map of base.html. */
const PAGES = {
  cluster: "bank/pages/cluster.js",
  transactions: "bank/pages/transactions.js",
  transaction: "bank/pages/transaction.js",
  shards: "bank/pages/shards.js",
  redistribution: "bank/pages/redistribution.js",
  benchmark: "bank/pages/benchmark.js",
  compare: "bank/pages/compare.js",
};
const AGE_EVERY_MS = 200;
const MODES = { live: "LIVE", replay: "REPLAY", sim: "SIM" };

const themeListeners = [];
const page = document.body.dataset.page;
const store = new Store();

/** The badge: what is shown, how old it is, how much is missing. */
function showBadge(live) {
  const box = find("#live");
  const status = live.status();
  const seconds = live.ageSeconds();
  const words = {
    live: MODES[store.head.src] ?? "LIVE", stale: "STALE", waiting: "CONNECTING", "signed-out": "SIGNED OUT",
  };
  attribute(box, "data-link", store.paused && status === "live" ? "paused" : status);
  text(find("[data-live=mode]"), store.paused && status === "live" ? "PAUSED" : words[status]);
  text(find("[data-live=age]"), seconds === null ? "" : age(seconds));
  const lost = store.head.lost + store.missing;
  text(find("[data-live=gaps]"), `${count(lost)} lost`);
  attribute(box, "data-live-ready", store.head.run ? "" : null);
}

/** The strip under the bar while the view is held. */
function showHeld(narrate) {
  show(find("#held"), store.paused);
  text(find("[data-live=pause-text]"), store.paused ? "Resume" : "Pause");
  attribute(find("[data-live=pause-icon]"), "href", iconAddress(store.paused ? "play" : "paused"));
  attribute(find("#live [data-do=pause]"), "aria-pressed", String(store.paused));
  if (!store.paused) return;
  text(find("[data-live=new]"), `+${count(store.fresh)} new`);
  const { at } = store;
  text(find("[data-live=where]"), at ? `at event ${count(at.q)}: ${narrate(at) ?? plain(at)}` : "at the last frame");
}

/** An event that people are usually not told of, in short. */
function plain(event) {
  const parts = [event.k];
  if (event.n) parts.push(`n${event.n}`);
  if (event.s) parts.push(`slot ${count(event.s)}`);
  return parts.join(" ");
}

function showFaults(view) {
  const faults = activeFaults(view);
  const list = find("[data-faults]");
  show(find("#faults"), faults.length > 0);
  if (faults.join("|") === list.dataset.shown) return;
  list.dataset.shown = faults.join("|");
  list.replaceChildren(...faults.map((words) => make("li", {}, words)));
}

/** Chips for the invariants that somebody really checked; none are shown otherwise. */
function showChecks(view) {
  const box = find("[data-checks]");
  if (!box) return;
  const checks = Object.entries(view.checks);
  const key = JSON.stringify(view.checks);
  if (box.dataset.shown === key) return;
  box.dataset.shown = key;
  show(box, checks.length > 0);
  box.replaceChildren(...checks.map(([name, { ok, detail }]) =>
    make("span", { class: `tag ${ok ? "tag-good" : "tag-bad"}`, title: detail },
      icon(ok ? "check" : "failed"), ok ? name : `NOT ${name}`)));
}

async function sentences() {
  const answer = await fetch(new URL("./sentences.json", import.meta.url));
  return answer.json();
}

function startLive(path, narrate) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const live = new Live(url.href, {
    key: (frame) => store.key(frame),
    frame: (frame) => store.frame(frame),
    gap: (frame) => {
      store.gap(frame);
      toast("This page was too slow for the stream; it takes up again from the present state.", "warn");
    },
  });
  const announce = startAnnouncements(narrate);
  find("#live").hidden = false;
  store.subscribe((view) => {
    showBadge(live);
    showHeld(narrate);
    if (!view.run) return;
    showFaults(view);
    showChecks(view);
    announce(view);
  });
  setInterval(() => showBadge(live), AGE_EVERY_MS);
  live.connect();
}

function startActions() {
  const actions = {
    pause: () => (store.paused ? store.resume() : store.pause()),
    back: () => store.step(-1) || toast("Nothing older is remembered here."),
    forward: () => store.step(1) || toast("Nothing newer is remembered here: jump to live."),
    keys: () => find("#keys").showModal(),
    close: closeDrawer,
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    if (button.dataset.do === "dismiss") button.closest("[data-toast]").remove();
    else actions[button.dataset.do]?.();
  });
  document.addEventListener("htmx:responseError", (event) => {
    toast(`The site answered ${event.detail.xhr.status}. Nothing was changed by this click.`, "bad");
  });
  document.addEventListener("htmx:sendError", () => {
    toast("The site cannot be reached. The bank may still be running; try again.", "bad");
  });
  for (const button of findAll("[data-do=keys]")) button.hidden = false;
  if (document.body.dataset.live) startKeyboard(actions);
}

async function start() {
  startToasts();
  startTheme(() => themeListeners.forEach((listener) => listener()));
  startCopy();
  startActions();
  const path = document.body.dataset.live;
  if (!path) {
    // A recording is on view: nothing here is live.
    if (page === "recording") (await import("bank/pages/recording.js")).start({ narrate: narrator(await sentences()) });
    return;
  }
  const narrate = narrator(await sentences());
  if (page in PAGES) {
    const module = await import(PAGES[page]);
    module.start({ store, narrate, onTheme: (listener) => themeListeners.push(listener) });
  }
  startLive(path, narrate);
}

start();
