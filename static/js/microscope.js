/**
 * One transaction in slow motion: where everything stands at a moment, and how its milliseconds are stretched.
 *
 * Pure: made from what waterfall() gave. Only the leader tells of the client's two messages, and only when they
 * were there; their way is shown with a length of its own (`LEAD`), before the first and after the last moment.
 */

import { MARKS } from "./waterfall.js";

/** The way between client and leader, as a part of the whole. */
const LEAD = 0.06;
/** A leader tells of its decision when it has applied it; what comes later in the protocol stands. */
const RANK = Object.keys(MARKS);
const STEP_S = 0.35;
const LEAST_S = 6;
const MOST_S = 24;
/** How much of the playing time is shared alike among steps; the rest goes by how long each took. */
const ALIKE = 0.7;

/**
 * @param {object} chart what waterfall() gave
 * @returns {{start: number, answer: number, end: number, seconds: number, points: {at: number, play: number}[]}} `answer`: when
 *   the client has its answer; `points`: moments in milliseconds, and when each is played, from 0 to 1; between two of them time runs evenly
 */
export function pace(chart) {
  const lead = chart.span * LEAD;
  const answered = chart.arrows.find((arrow) => arrow.m === "reply");
  const start = -lead;
  const answer = answered ? answered.sent + lead : 0;
  const end = Math.max(chart.span, answer);
  const times = [start, 0, answer, end, ...chart.marks.map(({ at }) => at), ...chart.rows.map(({ at }) => at)];
  for (const arrow of chart.arrows) times.push(arrow.sent, arrow.got);
  const moments = [...new Set(times)].filter((at) => at >= start && at <= end).sort((a, b) => a - b);
  const share = 1 / (moments.length - 1);
  let play = 0;
  const points = moments.map((at, index) => {
    if (index > 0) play += ALIKE * share + (1 - ALIKE) * ((at - moments[index - 1]) / (end - start));
    return { at, play };
  });
  points.at(-1).play = 1;
  return { start, answer, end, seconds: Math.min(MOST_S, Math.max(LEAST_S, moments.length * STEP_S)), points };
}

/** The moment that is shown after a part (0 to 1) of the playing time. */
export const momentOf = (paced, play) => between(paced.points, "play", "at", play);

/** The part of the playing time after which a moment is shown. */
export const playOf = (paced, at) => between(paced.points, "at", "play", at);

function between(points, from, to, value) {
  const next = points.findIndex((point) => point[from] >= value);
  if (next === -1) return points.at(-1)[to];
  if (next === 0) return points[0][to];
  const [a, b] = [points[next - 1], points[next]];
  return a[to] + ((value - a[from]) / (b[from] - a[from])) * (b[to] - a[to]);
}

/**
 * @param {object} chart what waterfall() gave
 * @param {object} paced what pace() gave
 * @param {number} at the moment, in milliseconds since the first event
 * @returns {{lanes: {mark: string, no: boolean, locked: boolean, phase: string}[], flights: {from: number,
 *   to: number, m: string, part: number, guessed: boolean}[], row: number}} `lanes` as in the chart: the mark
 *   there that is furthest in the protocol ("" for none yet), the phase it is in; `part`: how far a message is on its way; `row`: the last step of the table
 */
export function sceneAt(chart, paced, at) {
  const lanes = chart.lanes.map(() => ({ mark: "", no: false, locked: false, phase: "" }));
  for (const { lane, at: told, mark, no } of chart.marks) {
    const then = mark === "reply" ? paced.answer : told;
    if (then <= at && RANK.indexOf(mark) > RANK.indexOf(lanes[lane].mark)) Object.assign(lanes[lane], { mark, no });
  }
  for (const { lane, phase, from, to } of chart.bars) {
    if (from > at || at >= to) continue;
    if (phase === "locks") lanes[lane].locked = true;
    else lanes[lane].phase = phase;
  }
  return {
    lanes,
    flights: chart.arrows.flatMap((arrow) => flightOf(arrow, paced, at)),
    row: chart.rows.findLastIndex((row) => row.at <= at),
  };
}

function flightOf(arrow, paced, at) {
  const guessed = arrow.m === "submit" || arrow.m === "reply";
  const sent = arrow.m === "submit" ? paced.start : arrow.sent;
  const got = arrow.m === "reply" ? paced.answer : Math.max(arrow.got, sent);
  if (at < sent || at >= got) return [];
  const [from, now, to] = [sent, at, got].map((moment) => playOf(paced, moment));
  return [{ from: arrow.from, to: arrow.to, m: arrow.m, part: (now - from) / (to - from), guessed }];
}
