/** A recording over REST, as a timeline needs it: stretches of events, and what its bar marks. */

import { MARKED_KINDS } from "./marks.js";
import { Player } from "./player.js";

/** How much of a run is fetched around a time, in microseconds. */
const BEFORE_US = 20_000_000;
const AFTER_US = 100_000_000;
const PAGE_EVENTS = 20_000;
/** Events of one stretch; of a busier one the end is left for the next. */
const EVENTS_MAX = 60_000;
/** What a run that goes on has told last may not be on disk yet. */
const UNWRITTEN_US = 300_000;
const MARKS_MAX = 5_000;

async function ask(address) {
  const answer = await fetch(address, { headers: { accept: "application/json" } });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `the site answered ${answer.status}`);
  return body;
}

export class Recorded {
  /**
   * @param {string} base address of the recording over REST
   * @param {{id: string, start: number, grows?: boolean}} told
   */
  constructor(base, { id, start, grows = false }) {
    this.base = base;
    this.id = id;
    this.start = start;
    this.grows = grows;
  }

  /** What the site says of the recording, and a reader of it. */
  static async open(base, options = {}) {
    const told = await ask(base);
    return { told, recorded: new Recorded(base, { ...told, ...options }) };
  }

  /** The stretch around a time of a run that ends at `end` by now. */
  async stretch(time, end) {
    const from = Math.max(this.start, Math.floor(time - BEFORE_US));
    const last = Math.min(end, Math.ceil(time + AFTER_US));
    const { state, q } = await ask(`${this.base}state?t=${from}`);
    const events = [];
    let after = q;
    while (after !== null && events.length < EVENTS_MAX) {
      const page = await ask(`${this.base}events?to=${last}&after=${after}&limit=${PAGE_EVENTS}`);
      events.push(...page.events);
      after = page.next;
    }
    const player = new Player(state, events);
    if (after !== null) return { player, from, to: player.end };
    return { player, from, to: this.grows && last >= end ? Math.max(player.end, end - UNWRITTEN_US) : last };
  }

  /** Events to be marked, from a time on. */
  async marks(from) {
    const told = await ask(`${this.base}events?from=${Math.floor(from)}&kinds=${MARKED_KINDS.join(",")}&limit=${MARKS_MAX}`);
    return told.events;
  }
}
