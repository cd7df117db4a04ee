/**
 * What the fold keeps of timers, of accounts on the move and of the partitioner. Twin of
 * consensus/trace/fold_moves.py.
 */

const TIMERS_MAX = 8;
const PLANS_MAX = 10;
const BATCHES_MAX = 40;
/** Of one batch. */
const ACCOUNTS_MAX = 64;
const BATCH = {
  "mig.start": "moving", "mig.chunk": "moving", "mig.flip": "moved", "mig.done": "moved", "mig.abort": "back",
};
const WHAT = { "timer.set": "set", "timer.fire": "fired", "timer.cancel": "cancelled" };
const STATES = {
  "mig.plan": "planned", "mig.start": "running", "mig.chunk": "running", "mig.flip": "running",
  "mig.done": "done", "mig.abort": "aborted",
};

/** What became of a node's timer last. */
export function timer(draft, event) {
  const node = draft.entry("nodes", event.n);
  if (!node) return;
  const timers = { ...node.timers };
  if (!(event.name in timers) && Object.keys(timers).length >= TIMERS_MAX) return;
  timers[event.name] = { is: WHAT[event.k], ts: event.ts, due: event.due ?? 0 };
  node.timers = timers;
}

export function epoch(draft, event) {
  draft.state.epoch = Math.max(draft.state.epoch, event.epoch);
}

/** Whether a `mig.*` tells of a plan; of one of its batches otherwise. */
export const whole = (event) => !("batch" in event);

/** How far a plan is. One that is over stays so. */
export function migration(draft, event) {
  if ("accounts" in event && !whole(event)) batchOf(draft, event);
  const plans = draft.part("plans");
  let index = plans.findIndex((plan) => plan.plan === event.plan);
  if (index < 0) {
    const fresh = { plan: event.plan, state: "", batch: 0, chunks: 0, flips: 0, why: "", ts: 0 };
    draft.push("plans", fresh, PLANS_MAX);
    index = plans.length - 1;
  }
  const plan = draft.own(plans, index);
  if (plan.state !== "done" && plan.state !== "aborted") plan.state = whole(event) ? STATES[event.k] : "running";
  plan.ts = event.ts;
  plan.batch = Math.max(plan.batch, event.batch ?? 0);
  plan.chunks += event.k === "mig.chunk" ? 1 : 0;
  plan.flips += event.k === "mig.flip" ? 1 : 0;
  plan.why = event.why ?? plan.why;
}

/** Which accounts are on their way, or were a moment ago. */
function batchOf(draft, event) {
  const batches = draft.part("moves");
  const source = event.cl ?? 0;
  let index = batches.findLastIndex((one) => one.from === source && one.batch === event.batch);
  if (index < 0) {
    const fresh = {
      plan: event.plan, batch: event.batch, from: source, to: event.to ?? 0,
      accounts: event.accounts.slice(0, ACCOUNTS_MAX), is: "", ts: 0,
    };
    draft.push("moves", fresh, BATCHES_MAX);
    index = batches.length - 1;
  }
  Object.assign(draft.own(batches, index), { is: BATCH[event.k], ts: event.ts });
}

/** Where the partitioner is with the plan that it works on. */
export function partitioner(draft, event) {
  let known = draft.state.hg;
  if (known.plan !== event.plan || event.k === "hg.snapshot") {
    known = { plan: event.plan, level: 0, moved: 0, km1: 0, imbalance: 0, ts: 0 };
  }
  const moves = event.k === "hg.moves" ? (event.count ?? event.moves.length) : 0;
  const told = { is: event.k.slice(3), trial: event.trial ?? false, ts: event.ts };
  const named = ["level", "vertices", "km1", "imbalance"].filter((name) => name in event);
  const figures = Object.fromEntries(named.map((name) => [name, event[name]]));
  draft.state.hg = { ...known, ...figures, ...told, moved: known.moved + moves };
}
