/** The page of a recording: nodes and events as they were at the moment on view. */

import { attribute, find, make, text } from "../dom.js";
import { ballot, count, moment } from "../format.js";
import { MARK_WORDS } from "../marks.js";
import { feedRows } from "../parts/feed.js";
import { plain } from "../parts/frame.js";
import { RecordedList } from "../parts/recordedlist.js";
import { RecordedMap } from "../parts/recordedmap.js";
import { stateWord } from "../select.js";

const FEED_ROWS = 40;

const TAGS = {
  leader: "tag-good", failed: "tag-bad", killed: "tag-bad", down: "tag-bad", paused: "tag-bad",
};

function showNodes(state) {
  const rows = Object.values(state.nodes).map((node) => {
    const word = stateWord(state, node);
    return make("tr", {},
      make("th", { scope: "row" }, `n${node.id}`), make("td", {}, `C${node.cluster}`),
      make("td", {}, make("span", { class: `tag ${TAGS[word] ?? ""}` }, word)),
      make("td", { class: "num" }, ballot(node.ballot)), make("td", { class: "num" }, count(node.applied)),
      make("td", { class: "num" }, count(node.lag)), make("td", { class: "num" }, count(node.queue)));
  });
  find("[data-nodes]").replaceChildren(...rows);
}

/** What the state remembers of events that people are told of: as much as the feed of the Cluster page. */
function showTold(view, narrate, start) {
  const told = feedRows(view, "all", FEED_ROWS).map((event) => make("li", {},
    make("time", { class: "muted" }, moment(event.ts, view.src, start).replace(/\.\d+$/, "")), ` ${narrate(event) ?? plain(event)}`));
  if (told.length === 0) told.push(make("li", { class: "muted" }, "Nothing to tell before this moment."));
  find("[data-told]").replaceChildren(...told);
}

/** The event that the view stands at; counts come after it. */
function where(at, view, narrate) {
  const event = at ?? view.feed.at(-1);
  if (!event) return "the start";
  return `${at ? "event" : "after event"} ${count(event.q)}: ${narrate(event) ?? plain(event)}`;
}

/** How many marks of each class the recording has. */
function showTally(marks) {
  const { counts } = marks;
  const words = Object.entries(MARK_WORDS).filter(([cls]) => counts[cls])
    .map(([cls, word]) => make("span", {}, make("i", { class: `time-mark mark-of-${cls}` }), `${word}: ${count(counts[cls])}`));
  find("[data-tally]").replaceChildren(...words);
}

/** @param {{store: import("../store.js").Store, narrate: Function, moves: import("../moves.js").Moves, onLevel: Function, onTheme: Function}} shell */
export function start(shell) {
  const { store, narrate, moves, onLevel, onTheme } = shell;
  const shown = { state: null, marks: -1 };
  const link = find("[data-same-moment]");
  const list = new RecordedList(shell, document.body.dataset.replay.replace(/^\/api\//, ""));
  const map = new RecordedMap();
  onTheme(() => map.draw());
  let isListed = false;
  onLevel(() => {
    shown.state = null;
    list.steps.retell();
  });
  store.subscribe((view) => {
    if (!view.run) return;
    // Its list is made of the whole recording: the player goes first.
    if (!isListed && "replayReady" in document.body.dataset) {
      isListed = true;
      list.open();
    }
    attribute(link, "href", moves.link());
    if (moves.marks.version !== shown.marks) showTally(moves.marks);
    shown.marks = moves.marks.version;
    if (shown.state === view) return;
    shown.state = view;
    const { at } = store;
    text(find("[data-at]"), where(at, view, narrate));
    showNodes(view);
    map.update(view);
    showTold(view, narrate, store.timeline.start);
  });
}
