/** The frame of every page: the state on view and its controls, faults, checks, theme, keys. */

import { find, findAll, show } from "./dom.js";
import { leveled, startLevels } from "./level.js";
import { Live } from "./live.js";
import { RECORDED_MAX } from "./marks.js";
import { Moves, numberOf } from "./moves.js";
import { narrator, notability } from "./narrate.js";
import { startCopy } from "./parts/copy.js";
import { startAnnouncements } from "./parts/announce.js";
import { closeDrawer } from "./parts/drawer.js";
import { startExports } from "./parts/exports.js";
import { showExperiments } from "./parts/experiments.js";
import { showBadge, showChecks, showFaults, showHeld } from "./parts/frame.js";
import { startKeyboard } from "./parts/keyboard.js";
import { startTheme } from "./parts/theme.js";
import { RANGE_US, TimeBar } from "./parts/timebar.js";
import { startTerms } from "./parts/terms.js";
import { startToasts, toast } from "./parts/toasts.js";
import { Why } from "./parts/why.js";
import { Recorded } from "./recorded.js";
import { Store } from "./store.js";
import { Timeline } from "./timeline.js";

/** Modules of pages, by the import map of base.html. */
const PAGES = {
  cluster: "bank/pages/cluster.js",
  consensus: "bank/pages/consensus.js",
  transactions: "bank/pages/transactions.js",
  transaction: "bank/pages/transaction.js",
  shards: "bank/pages/shards.js",
  redistribution: "bank/pages/redistribution.js",
  benchmark: "bank/pages/benchmark.js",
  compare: "bank/pages/compare.js",
  recording: "bank/pages/recording.js",
  recordings: "bank/pages/recordings.js",
};
const AGE_EVERY_MS = 200;

const themeListeners = [];
const levelListeners = [];
const { page, live: livePath, replay: replayBase, recordings, moment } = document.body.dataset;
const store = new Store();
const moves = new Moves(store, {
  page: moment ?? "/", replays: find("[data-replays]") !== null, say: (words) => toast(words),
});

/** How events are told in words, and which of them are. */
async function told() {
  const answer = await fetch(new URL("./sentences.json", import.meta.url));
  const sentences = await answer.json();
  return { narrate: leveled(narrator(sentences)), isNotable: notability(sentences) };
}

/** What of a run is not in this page is asked for; what its bar marks, too. */
async function useRecording(run) {
  store.source = null;
  moves.marks.clear();
  try {
    const { recorded } = await Recorded.open(`${recordings}${run}/`, { id: run, grows: true });
    if (store.head.run !== run) return;
    store.source = recorded;
    if (store.timeline) store.timeline.source = recorded;
    moves.marks.add(await recorded.marks(Math.max(recorded.start, store.head.ts - RANGE_US)));
  } catch (error) {
    console.info(`the run of this site cannot be looked back at: ${error.message}`);
  }
}

function startLive(path, narrate) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  let run = "";
  const live = new Live(url.href, {
    key: async (frame) => {
      store.key(frame);
      if (frame.run === run) return;
      const isFirst = run === "";
      run = frame.run;
      await useRecording(run);
      if (isFirst) openMoment();
    },
    frame: (frame) => store.frame(frame),
    gap: (frame) => {
      store.gap(frame);
      toast("This page was too slow for the stream; it takes up again from the present state.", "warn");
    },
  });
  store.hear((events) => moves.marks.add(events));
  const announce = startAnnouncements(narrate);
  store.subscribe((view) => {
    showBadge(store, live);
    showHeld(store, narrate);
    if (!view.run) return;
    announce(view);
  });
  setInterval(() => showBadge(store, live), AGE_EVERY_MS);
  live.connect();
}

/** The moment that the address names, if it names one. */
function openMoment() {
  const asked = new URLSearchParams(location.search);
  const time = numberOf(asked, "t");
  return time === null ? null : moves.goto(time, numberOf(asked, "q"));
}

async function startReplay(base, narrate) {
  show(find("#held"), true);
  startExports(store);
  const { told, recorded } = await Recorded.open(base);
  const asked = numberOf(new URLSearchParams(location.search), "t") ?? told.start;
  const time = Math.max(told.start, Math.min(told.end, asked));
  const stretch = await recorded.stretch(time, told.end);
  store.replay(new Timeline(stretch, { source: recorded, end: told.end }));
  store.subscribe(() => {
    showBadge(store, null);
    showHeld(store, narrate);
  });
  await moves.goto(time, numberOf(new URLSearchParams(location.search), "q"));
  moves.marks.older = RECORDED_MAX;
  moves.marks.add(await recorded.marks(told.start));
  store.wake();
  document.body.dataset.replayReady = "";
}

async function copyLink(link) {
  moves.hold();
  try {
    await navigator.clipboard.writeText(link.href);
    toast("The link to this moment is in the clipboard.", "good");
  } catch (error) {
    toast(`The browser did not let the page copy: ${error.message}. Copy the address of the link by hand.`, "bad");
  }
}

async function takePicture() {
  try {
    // Few visits need it, so few load it.
    const { savePicture } = await import("bank/parts/picture.js");
    await savePicture(`paxos-bank-${page}`);
    toast("The picture is among your downloads.", "good");
  } catch (error) {
    toast(`No picture: ${error.message}`, "bad");
  }
}

function startActions() {
  const actions = {
    ...moves.acts,
    pause: () => (store.held ? moves.resume() : moves.hold()),
    keys: () => find("#keys").showModal(),
    close: closeDrawer,
    picture: takePicture,
  };
  // Without a bar there is nothing to play along: the same key holds the view and lets it go.
  if (!find("#timebar")) actions.play = actions.pause;
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    if (button.dataset.do === "dismiss") button.closest("[data-toast]").remove();
    else if (button.dataset.do === "link") {
      event.preventDefault();
      copyLink(button);
    } else actions[button.dataset.do]?.();
  });
  document.addEventListener("htmx:responseError", (event) => {
    toast(`The site answered ${event.detail.xhr.status}. Nothing was changed by this click.`, "bad");
  });
  document.addEventListener("htmx:sendError", () => {
    toast("The site cannot be reached. The bank may still be running; try again.", "bad");
  });
  for (const button of findAll("[data-do=keys], [data-do=picture]")) button.hidden = false;
  if (livePath || replayBase) startKeyboard(actions);
}

async function start() {
  startToasts();
  startTheme(() => themeListeners.forEach((listener) => listener()));
  startCopy();
  document.addEventListener("htmx:afterSwap", () => startCopy());
  startActions();
  if (!livePath && !replayBase) return;
  const [{ narrate, isNotable }] = await Promise.all([told(), startTerms()]);
  if (page in PAGES) {
    const module = await import(PAGES[page]);
    module.start({
      store, narrate, isNotable, moves,
      onTheme: (listener) => themeListeners.push(listener), onLevel: (listener) => levelListeners.push(listener),
    });
  }
  const why = new Why(store, narrate, moment ?? "/");
  levelListeners.push(() => why.retell(), store.wake);
  startLevels(() => levelListeners.forEach((listener) => listener()));
  // Where there is room for one line only, events are told plainly.
  const briefly = (event) => narrate(event, "plain");
  const root = find("#timebar");
  const bar = root && new TimeBar(root, store, { narrate: briefly, moves });
  find("#live").hidden = false;
  store.subscribe((view) => {
    bar?.update();
    if (!view.run) return;
    showFaults(view, store.live);
    showChecks(view);
    showExperiments(view);
  });
  if (livePath) {
    startLive(livePath, briefly);
    return;
  }
  try {
    await startReplay(replayBase, briefly);
  } catch (error) {
    find("[data-live=where]").textContent = `It cannot be played: ${error.message}`;
  }
}

start();
