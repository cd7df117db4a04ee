/**
 * What the fold keeps of timers, of accounts that move or have moved, of the partitioner. Twin of
 * consensus/trace/fold_moves.py.
 */

const TIMERS_MAX = 8;
const PLANS_MAX = 10;
const BATCHES_MAX = 40;
/** Of one batch. */
const ACCOUNTS_MAX = 64;
/** Accounts that have moved; of more, those that move first are known. */
export const OWNERS_MAX = 20_000;
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
  if ("accounts" in event) claim(draft, event, event.cl ?? 0);
}

/** Owners that no event told of. */
export function moved(draft, { rows }) {
  own(draft, Array.from({ length: Math.floor(rows.length / 3) }, (_, index) => rows.slice(3 * index, 3 * index + 3)));
}

/** The accounts of an event belong to `cluster`. */
function claim(draft, { accounts, epochs = [] }, cluster) {
  own(draft, accounts.map((account, index) => [account, cluster, epochs[index] ?? 0]));
}

/**
 * Claims `[account, cluster, epoch]`. Of two the one with the higher epoch is right: nodes tell one after the other.
 * One without an epoch, in recordings of an earlier version, is taken as it comes. Accounts that are home again are
 * held, too: word of their way out may come late.
 */
function own(draft, claims) {
  const owners = draft.part("owners");
  let room = OWNERS_MAX - Object.keys(owners).length;
  for (const [account, cluster, epoch] of claims) {
    const known = owners[account];
    if (known === undefined) {
      if (room > 0) owners[account] = [cluster, epoch || 1];
      room -= 1;
    } else if (epoch > known[1] || (epoch === 0 && cluster !== known[0])) {
      owners[account] = [cluster, epoch || known[1] + 1];
    }
  }
}

/** Whether a `mig.*` tells of a plan; of one of its batches otherwise. */
export const whole = (event) => !("batch" in event);

/** How far a plan is. One that is over stays so. */
export function migration(draft, event) {
  if ("accounts" in event && !whole(event)) {
    batchOf(draft, event);
    if (event.k === "mig.flip") claim(draft, event, event.to ?? 0);
  }
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
