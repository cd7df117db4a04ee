/** The page of a recording: time bar, speed, steps; nodes and events as they were at the moment on view. */

import { attribute, find, make, text } from "../dom.js";
import { ballot, count, timeOfDay } from "../format.js";
import { Player, speedOf } from "../player.js";
import { activeFaults, stateWord } from "../select.js";

const FEED_ROWS = 40;
/** Events looked through for those rows. */
const LOOK_BACK = 5_000;
const PAGE_EVENTS = 20_000;
/** Events that a page holds; a longer stretch is cut, and says so. */
const EVENTS_MAX = 100_000;

const TAGS = {
  leader: "tag-good", failed: "tag-bad", killed: "tag-bad", down: "tag-bad", paused: "tag-bad",
};

async function ask(address) {
  const answer = await fetch(address);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail);
  return body;
}

/** State at `from` and the events up to `to`. */
async function load(base, from, to) {
  const { state, q } = await ask(`${base}state?t=${from}`);
  const events = [];
  let after = q;
  while (after !== null && events.length < EVENTS_MAX) {
    const page = await ask(`${base}events?to=${to}&after=${after}&limit=${PAGE_EVENTS}`);
    events.push(...page.events);
    after = page.next;
  }
  return { player: new Player(state, events), cut: after !== null };
}

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

/** What is on view: the player's state at `clock`, and what plays it. */
class Replay {
  constructor(player, narrate) {
    this.player = player;
    this.narrate = narrate;
    this.bar = find("[data-bar]");
    this.speed = find("[data-speed]");
    this.playing = false;
    this.before = 0;
    this.address = new URL(location.href);
    this.acts = {
      " ": () => this.setPlaying(!this.playing),
      ",": () => player.step(-1) && this.moved(), ".": () => player.step(1) && this.moved(),
      "[": () => player.round(-1) && this.moved(), "]": () => player.round(1) && this.moved(),
    };
    this.bar.max = String(Math.max(1, player.end - player.start));
    this.bar.disabled = false;
  }

  /** The moment and the speed that the address names. */
  open() {
    const { player, address, speed } = this;
    const fast = Number(address.searchParams.get("speed") ?? speed.value);
    if (fast >= 0 && fast <= 100) speed.value = String(fast);
    const wanted = Number(address.searchParams.get("t") ?? player.start);
    this.seek(Number.isFinite(wanted) ? wanted : player.start);
    // Events may share a time, so the address names the event as well.
    const event = Number(address.searchParams.get("q") ?? 0);
    const index = player.events.findLastIndex(({ q }) => q === event);
    if (index >= 0) {
      player.goto(index + 1);
      this.show();
    }
    this.showSpeed();
  }

  seek(time) {
    this.clock = Math.max(this.player.start, Math.min(this.player.end, time));
    this.player.seek(this.clock);
    this.show();
  }

  /** After a step: the clock is that of the event. */
  moved() {
    this.clock = this.player.time;
    this.show();
    this.keepAddress();
  }

  keepAddress() {
    this.address.searchParams.set("t", String(Math.round(this.clock)));
    this.address.searchParams.set("q", String(this.player.state.q));
    this.address.searchParams.set("speed", this.speed.value);
    history.replaceState(null, "", this.address);
  }

  setPlaying(on) {
    this.playing = on && this.player.events.length > 0;
    text(find("[data-play]"), this.playing ? "Pause" : "Play");
    attribute(find("[data-play]"), "aria-pressed", String(this.playing));
    if (!this.playing) {
      this.keepAddress();
      return;
    }
    if (this.clock >= this.player.end) this.clock = this.player.start;
    this.before = performance.now();
    requestAnimationFrame((now) => this.tick(now));
  }

  tick(now) {
    if (!this.playing) return;
    const passed = Math.max(0, now - this.before) * 1000 * speedOf(Number(this.speed.value));
    this.before = now;
    this.seek(this.clock + passed);
    if (this.clock >= this.player.end) this.setPlaying(false);
    else requestAnimationFrame((next) => this.tick(next));
  }

  showSpeed() {
    const value = speedOf(Number(this.speed.value));
    const words = value < 1 ? `1/${count(1 / value)}×` : `${value.toFixed(1)}×`;
    text(find("[data-speed-text]"), words);
    this.speed.setAttribute("aria-valuetext", words);
  }

  show() {
    const { player, clock } = this;
    const { state, event } = player;
    this.bar.value = String(clock - player.start);
    this.bar.setAttribute("aria-valuetext", timeOfDay(clock));
    text(find("[data-time]"), `${timeOfDay(clock)}.${String(Math.floor(clock / 1000) % 1000).padStart(3, "0")}`);
    text(find("[data-at]"), `event ${count(state.q)}: ${event === null ? "the start" : this.words(event)}`);
    showNodes(state);
    const faults = activeFaults(state);
    text(find("[data-active]"), faults.length > 0 ? `in force: ${faults.join(", ")}` : "no fault in force");
    this.showTold();
    find("[data-invariants]").replaceChildren(...Object.entries(state.checks).map(([name, { ok, detail }]) =>
      make("span", { class: `tag ${ok ? "tag-good" : "tag-bad"}`, title: detail }, ok ? name : `NOT ${name}`)));
  }

  words(event) {
    return this.narrate(event) ?? [event.k, event.n ? `n${event.n}` : ""].join(" ").trim();
  }

  showTold() {
    const { player } = this;
    const told = [];
    const last = Math.max(0, player.index - LOOK_BACK);
    for (let index = player.index; index > last && told.length < FEED_ROWS; index -= 1) {
      const sentence = this.narrate(player.events[index - 1]);
      const at = make("time", { class: "muted" }, timeOfDay(player.times[index - 1]));
      if (sentence) told.push(make("li", {}, at, ` ${sentence}`));
    }
    if (told.length === 0) told.push(make("li", { class: "muted" }, "Nothing to tell before this moment."));
    find("[data-told]").replaceChildren(...told);
  }

  showMarks() {
    const { player } = this;
    const marks = player.marks().map(([time, kind, event]) => {
      const mark = make("button", {
        type: "button", class: `mark-${kind}`, tabindex: "-1", title: `${timeOfDay(time)} ${this.words(event)}`,
        "aria-label": `${kind} at ${timeOfDay(time)}`,
      });
      mark.style.left = `${(100 * (time - player.start)) / Math.max(1, player.end - player.start)}%`;
      mark.addEventListener("click", () => {
        player.seek(time);
        this.moved();
      });
      return mark;
    });
    find("[data-marks]").replaceChildren(...marks);
  }

  listen() {
    find("[data-play]").addEventListener("click", this.acts[" "]);
    for (const button of document.querySelectorAll("[data-key]")) {
      button.addEventListener("click", () => this.act(button.dataset.key));
    }
    this.bar.addEventListener("input", () => this.seek(this.player.start + Number(this.bar.value)));
    this.bar.addEventListener("change", () => this.keepAddress());
    this.speed.addEventListener("input", () => this.showSpeed());
    this.speed.addEventListener("change", () => this.keepAddress());
    document.addEventListener("keydown", (event) => {
      const taken = event.target instanceof Element
        && event.target.closest("button, summary, select, textarea, input:not([type=range])");
      if (taken || event.ctrlKey || event.metaKey || event.altKey || !(event.key in this.acts)) return;
      event.preventDefault();
      this.act(event.key);
    });
  }

  act(key) {
    if (key !== " ") this.setPlaying(false);
    this.acts[key]();
  }
}

/** @param {{narrate: Function}} shell */
export async function start({ narrate }) {
  const box = find("[data-recording]");
  let loaded;
  try {
    loaded = await load(box.dataset.recording, Number(box.dataset.from), Number(box.dataset.to));
  } catch (error) {
    text(find("[data-at]"), `It cannot be played: ${error.message}`);
    return;
  }
  const { player, cut } = loaded;
  text(find("[data-loaded]"),
    `${count(player.events.length)} events${cut ? ", then cut: this stretch holds more than a page takes" : ""}`);
  const replay = new Replay(player, narrate);
  replay.showMarks();
  replay.open();
  replay.listen();
  box.dataset.ready = "";
}
