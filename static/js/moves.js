/** What a visitor does in time: hold, play, step, seek, back to live; and the address that leads to the same moment. */

import { Marks } from "./marks.js";
import { speedOf } from "./player.js";

/** Position of the speed slider that is nearest to the speed of life. */
export const NORMAL_POSITION = 77;
/** The address follows once the view has stood still for so long: browsers bound how often it may change. */
const ADDRESS_MS = 250;
const PARAMETERS = ["recording", "t", "q", "speed"];

/** A number of the address; null when there is none. */
export function numberOf(parameters, name) {
  const value = parameters.get(name);
  return value !== null && /^\d{1,17}$/.test(value) ? Number(value) : null;
}

export class Moves {
  /**
   * @param {import("./store.js").Store} store
   * @param {{page: string, replays: boolean, say: (words: string) => void}} options `page`: address of the page that shows a
   *   moment of any recording; `replays`: this page does, too
   */
  constructor(store, { page, replays, say }) {
    this.store = store;
    this.page = page;
    this.replays = replays;
    this.say = say;
    this.marks = new Marks();
    this.timer = 0;
    this.running = false;
    const asked = numberOf(new URLSearchParams(location.search), "speed");
    this.#useSpeed(asked !== null && asked <= 100 ? asked : NORMAL_POSITION);
    this.acts = {
      play: () => this.play(store.paused),
      back: () => this.#move(store.step(-1), "Nothing older is recorded."),
      forward: () => this.#move(store.step(1), "Nothing newer is here."),
      earlier: () => this.#round(-1),
      later: () => this.#round(1),
      live: () => this.resume(),
    };
  }

  setSpeed(position) {
    this.#useSpeed(position);
    this.keepAddress();
  }

  #useSpeed(position) {
    this.speedPosition = position;
    // The slider has no place that is exactly one; where life is nearest, it is life.
    this.speed = position === NORMAL_POSITION ? 1 : speedOf(position);
    if (this.store.timeline) this.store.timeline.speed = this.speed;
  }

  /** Hold the view; the first time where it is. */
  hold() {
    this.store.pause();
    this.store.timeline.speed = this.speed;
    this.keepAddress();
  }

  resume() {
    if (!this.store.live) {
      location.assign(this.page);
      return;
    }
    this.store.resume();
    this.keepAddress();
  }

  play(on) {
    if (!this.store.view.run) return;
    // Live, the view moves as it is: there is nothing to play, only to hold.
    if (!this.store.held) return this.hold();
    const { timeline } = this.store;
    if (on && !this.store.live && timeline.clock >= timeline.end) timeline.seek(timeline.start);
    this.store.play(on);
    if (!on) this.keepAddress();
    if (!on || this.running) return;
    this.running = true;
    let before = performance.now();
    const next = (now) => {
      this.running = this.store.timeline?.playing ?? false;
      if (!this.running) return;
      const ended = this.store.timeline.tick(now - before);
      before = now;
      requestAnimationFrame(next);
      if (!ended) return;
      if (this.store.live) this.resume();
      else this.play(false);
    };
    requestAnimationFrame(next);
  }

  async seek(time) {
    this.hold();
    await this.store.timeline.seek(time);
    this.keepAddress();
  }

  async goto(time, q) {
    this.hold();
    await (q === null ? this.store.timeline.seek(time) : this.store.timeline.goto(time, q));
    this.keepAddress();
  }

  async #move(done, words) {
    const moved = await done;
    this.store.timeline.speed = this.speed;
    this.keepAddress();
    if (!moved) this.say(this.store.timeline.error || words);
  }

  #round(direction) {
    this.hold();
    this.#move(this.store.timeline.round(direction, this.marks), `No ${direction < 0 ? "earlier" : "later"} election is recorded.`);
  }

  /** Where the moment on view can be looked at again, by anybody. */
  link() {
    const { view, timeline } = this.store;
    const found = new URL(this.page, location.href);
    found.search = new URLSearchParams({
      recording: this.store.source?.id ?? view.run, t: Math.round(timeline ? timeline.clock : view.ts), q: view.q,
    });
    return found.href;
  }

  /** Have the address name what is on view, so that it opens there again. */
  keepAddress() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#keepAddress(), ADDRESS_MS);
  }

  #keepAddress() {
    const { timeline, view, live, source } = this.store;
    const address = new URL(location.href);
    const own = address.searchParams;
    if (timeline?.playing) return;
    for (const name of PARAMETERS) own.delete(name);
    if (timeline && view.run) {
      if (this.replays) own.set("recording", source?.id ?? view.run);
      own.set("t", Math.round(timeline.clock));
      own.set("q", view.q);
    } else if (!live) {
      return;
    }
    if (this.speedPosition !== NORMAL_POSITION) own.set("speed", this.speedPosition);
    if (address.href !== location.href) history.replaceState(history.state, "", address);
  }
}
