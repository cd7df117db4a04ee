/**
 * A held view: where it stands in a run, and how it moves there. A stretch of events is at hand in a Player; what lies
 * outside of it is asked for. Knows neither the page nor REST.
 */

/** How near to the end of a live run counts as having caught up with it, in microseconds. */
const CAUGHT_UP_US = 400_000;

/**
 * @typedef {object} Stretch
 * @property {import("./player.js").Player} player
 * @property {number} from times of the run that it covers, quiet ones included
 * @property {number} to
 *
 * @typedef {object} Source where stretches come from
 * @property {number} start of the run, UTC microseconds
 * @property {boolean} grows the run goes on
 * @property {(time: number, end: number) => Promise<Stretch>} stretch around a time of a run that ends at `end` by now
 */

export class Timeline {
  /**
   * @param {Stretch} stretch to begin with
   * @param {{source?: Source | null, open?: boolean, end?: number, changed?: () => void}} [options] `open`: more events will
   *   be appended; `end` of the run, if it is later than that of the stretch
   */
  constructor(stretch, { source = null, open = false, end = stretch.to, changed = () => {} } = {}) {
    this.stretch = stretch;
    this.source = source;
    this.open = open;
    this.end = Math.max(end, stretch.to);
    this.changed = changed;
    this.clock = stretch.player.time;
    this.playing = false;
    this.speed = 1;
    /** Why the last stretch could not be fetched; "" when it could. */
    this.error = "";
    this.wanted = null;
    this.fetching = null;
  }

  get player() {
    return this.stretch.player;
  }

  get state() {
    return this.player.state;
  }

  get event() {
    return this.player.event;
  }

  /** Where the run begins, as far as it can be looked at. */
  get start() {
    return this.source ? this.source.start : this.stretch.from;
  }

  get loading() {
    return this.fetching !== null;
  }

  /** More events of a live run. An open stretch takes them in while it has no more than `most`. */
  extend(events, end, most) {
    this.end = Math.max(this.end, end);
    if (!this.open) return;
    const taken = events.slice(0, Math.max(0, most - this.player.events.length));
    this.player.append(taken);
    if (taken.length < events.length) this.close();
    else this.stretch.to = this.end;
  }

  /** What comes from here on does not join on to the stretch. */
  close() {
    this.open = false;
  }

  /** Go to a time, at once if it is at hand. */
  async seek(time) {
    const clock = Math.max(this.start, Math.min(this.end, time));
    this.clock = clock;
    if (!covers(this.stretch, clock)) await this.#fetch(clock);
    // Asked to go elsewhere meanwhile: that seek shows what it finds.
    if (this.clock !== clock) return;
    this.player.seek(clock);
    this.changed();
  }

  /** Go to an event: to its time, then to its order number, as events may share a time. */
  async goto(time, q) {
    await this.seek(time);
    if (this.player.find(q)) this.#stand();
  }

  /** One event back or on; false when there is none. */
  async step(direction) {
    this.playing = false;
    // From where the visitor asked to be, not from where the view still is.
    await this.fetching;
    if (this.player.step(direction)) return this.#stand();
    const edge = direction < 0 ? this.stretch.from - 1 : this.stretch.to + 1;
    if (this.source === null || edge < this.start || edge > this.end) return false;
    const { q } = this.state;
    this.clock = edge;
    await this.#fetch(edge);
    const moved = this.player.find(q) ? this.player.step(direction) : this.error === "";
    this.#stand();
    return moved;
  }

  /** One election back or on; false when none is known. `marks` knows those outside of the stretch. */
  async round(direction, marks = null) {
    this.playing = false;
    await this.fetching;
    if (this.player.round(direction)) return this.#stand();
    const found = marks?.next(this.event?.q ?? this.state.q, direction, "election");
    if (!found) return false;
    await this.goto(found.ts, found.q);
    return true;
  }

  /** Time goes by: `millis` of the clock on the wall. True once the end of the run is reached. */
  tick(millis) {
    if (!this.playing || this.loading) return false;
    this.seek(this.clock + Math.max(0, millis) * 1000 * this.speed);
    return this.clock >= this.end - (this.open || this.source?.grows ? CAUGHT_UP_US : 0);
  }

  #stand() {
    this.clock = this.player.time;
    this.changed();
    return true;
  }

  /** Have the stretch around a time at hand. One request at a time; of those that wait the newest is next. */
  async #fetch(time) {
    if (this.source === null) return;
    this.wanted = time;
    this.fetching ??= this.#fetchWanted();
    this.changed();
    await this.fetching;
  }

  async #fetchWanted() {
    while (this.wanted !== null) {
      const time = this.wanted;
      this.wanted = null;
      try {
        const stretch = await this.source.stretch(time, this.end);
        // A seek that needed no stretch may have gone elsewhere meanwhile.
        if (covers(stretch, this.clock) || !covers(this.stretch, this.clock)) {
          this.stretch = stretch;
          this.player.seek(this.clock);
          this.open = false;
        }
        this.error = "";
      } catch (error) {
        this.error = error.message;
        this.playing = false;
      }
    }
    this.fetching = null;
    this.changed();
  }
}

const covers = ({ from, to }, time) => time >= from && time <= to;
