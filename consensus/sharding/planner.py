"""From a window of traffic to a plan: which accounts move where, in which order, and what that is worth.

A partition always looks good on the traffic it was made from: uniform traffic seems to fall from 66.7 to
40.9 % across clusters, and does not fall at all. So a part of the window is held out and a trial, made from
the rest, is judged on it. What it loses there is what a plan adds to its own figure to make its promise (ADR
52). Where the trial saves too little, or the
window is too thin to tell, the plan is refused and nothing moves.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np

from consensus.sharding.compiled import Flags, Ids, Ints, seed_state
from consensus.sharding.gains import rows, terms
from consensus.sharding.hypergraph import Hypergraph, costs, imbalances, limits
from consensus.sharding.order import greedy
from consensus.sharding.portfolio import FLAT, QUICK, homeward, judged, key, partition
from consensus.sharding.refine import Observer, refine
from consensus.sharding.request import TRANSFERS_PER_ACCOUNT_MIN
from consensus.sharding.window import Window, cross_shard_pct, hypergraph, split

GAIN_MIN_POINTS: Final = 2.0
"""Points of cross-shard share a plan has to save on traffic it has not seen."""
LOAD_GAIN_MIN_POINTS: Final = 5.0
"""Points of load imbalance a plan has to save to be made for the load alone."""
SCALE: Final = 8
"""Net weights per transaction, so that a price may be a fraction of one."""
ERRORS_MIN: Final = 3.0
"""It has to save so many standard errors of that figure, too: they are large where little is held out."""
HELD_OUT_SHARE: Final = (0.2, 0.5)
HELD_OUT: Final = 2_500
"""What is held out: so many transactions, within these shares of the window."""
FADES: Final = 2
"""The over-fitting of a plan falls with this power of how much it was made from (measured, ADR 52)."""
TABLE_SHARES: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Options:
    """What a plan has to respect.

    Attributes:
        k: clusters.
        epsilon: allowed imbalance of accounts; load_epsilon: of load; None: that load is not balanced.
        price: transactions of the window that moving an account has to save, in eighths; None: 1.25 in the
            flat mode, which must not follow every accident, and 0.5 otherwise.
        max_moves: at most so many accounts move; None: as many as pay.
        flat_only: refine the placement only, the mode for a bank that has been partitioned before.
        transient: imbalance allowed on the way, in both weights.
        seed: of every draw.
    """

    k: int
    epsilon: float = 0.03
    load_epsilon: float | None = 0.03
    price: float | None = None
    max_moves: int | None = None
    flat_only: bool = False
    transient: float = 0.1
    seed: int = 0

    @property
    def price_in_scale(self) -> int:
        """The price in units of ``1 / SCALE`` transactions."""
        chosen = (1.25 if self.flat_only else 0.5) if self.price is None else self.price
        return round(SCALE * chosen)


class Move(NamedTuple):
    """One account's move and why.

    ``here`` and ``there`` are how many transactions of the window it shares with accounts of either cluster
    at its turn; ``saved`` is what that comes to; ``load`` is how many touch it, and move with it.
    """

    account: int
    source: int
    target: int
    saved: int
    here: int
    there: int
    load: int


class Figures(NamedTuple):
    """A placement's worth on some traffic of ``window`` transactions."""

    cross_shard_pct: float
    load_imbalance_pct: float
    account_imbalance_pct: float
    window: int


class Benefit(NamedTuple):
    """What the first ``moves`` moves bring, on the window the plan was made from."""

    moves: int
    cross_shard_pct: float
    km1: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan, or why there is none.

    Attributes:
        id: digest of the moves; equal plans have equal ids.
        status: ``planned`` or ``refused``.
        reason: why it was refused; empty otherwise.
        moves: in the order they are to be made; accounts as vertices from 0.
        before: the placement now, on the window.
        predicted: after all moves; the cross-shard share is the one to expect on traffic not seen.
        table: budget and benefit.
        method: of the partitioner.
    """

    id: str
    status: str
    reason: str
    moves: list[Move]
    before: Figures
    predicted: Figures
    table: list[Benefit] = field(default_factory=list)
    method: str = ""


def plan(
    seen: Window,
    current: Ids,
    options: Options,
    *,
    locked: Flags | None = None,
    observer: Observer | None = None,
) -> Plan:
    """Plan for the placement ``current``, shape (n,), blocks from 0; the same arguments give the same plan.

    ``locked``: shape (n,), accounts that must stay. ``observer``: see
    :func:`~consensus.sharding.portfolio.partition`.

    Raises:
        ValueError: the placement does not fit the window, or an option is out of range.
    """
    current = np.ascontiguousarray(current, dtype=np.int32)
    if options.price_in_scale < 0 or (options.max_moves is not None and options.max_moves < 0):
        raise ValueError("price, max_moves: must be 0 or more")
    active = int(np.count_nonzero(np.bincount(seen.accounts, minlength=1)))
    if seen.count < TRANSFERS_PER_ACCOUNT_MIN * active or not active:
        per_account = seen.count / active if active else 0.0
        now = _figures(seen, hypergraph(seen), current, options.k)
        return _refused(
            f"window too thin: {seen.count} transactions over {active} accounts are {per_account:.2f} per"
            f" account, {TRANSFERS_PER_ACCOUNT_MIN:g} are needed",
            now,
            now,
        )
    held = min(max(HELD_OUT / seen.count, HELD_OUT_SHARE[0]), HELD_OUT_SHARE[1])
    made_from, judged_on = split(seen, 1 - held, options.seed)
    # what is left counts for more, so that price and limits mean what they mean for the whole
    factor = round(SCALE * seen.count / max(made_from.count, 1))
    trial, by = _target(_scaled(hypergraph(made_from), factor), current, options, locked, _trial(observer))
    # Only now: beside the trial there would be no room for it.
    graph = _scaled(hypergraph(seen), SCALE)
    now = _figures(seen, graph, current, options.k)
    held_before, held_after = cross_shard_pct(judged_on, current), cross_shard_pct(judged_on, trial)
    gain = held_before - held_after
    optimism = held_after - cross_shard_pct(made_from, trial)
    held_out = _figures(judged_on, hypergraph(judged_on), trial, options.k)
    load_gain = now.load_imbalance_pct - held_out.load_imbalance_pct
    for_load = options.load_epsilon is not None and load_gain >= LOAD_GAIN_MIN_POINTS
    share = held_before / 100
    error = 100 * (2 * share * (1 - share) / max(judged_on.count, 1)) ** 0.5
    needed = max(GAIN_MIN_POINTS, ERRORS_MIN * error)
    if gain < needed and not for_load:
        predicted = now._replace(cross_shard_pct=round(held_after, 3))
        return _refused(
            f"no structure: a plan made from {100 * (1 - held):.0f} % of the window changes the share across"
            f" clusters of the rest from {held_before:.1f} to {held_after:.1f} %;"
            f" {needed:.1f} points have to be saved",
            now,
            predicted,
        )
    # The whole window is nearly the part of it that the trial was made from: its partition is a good start.
    start = None if by == FLAT else trial
    target, method = _target(graph, current, options, locked, observer, start=start)
    moves = _ordered(graph, current, target, options)
    after = _figures(seen, graph, target, options.k)
    promise = after.cross_shard_pct + optimism * (1 - held) ** FADES
    after = after._replace(cross_shard_pct=round(min(max(promise, 0.0), 100.0), 3))
    table = _table(seen, graph, current, moves, options.k)
    listed = [_move(row) for row in moves.tolist()]
    return Plan(_digest(listed), "planned", "", listed, now, after, table, method)


def _trial(observer: Observer | None) -> Observer | None:
    """Tells ``observer`` that what it hears is of the trial."""
    if observer is None:
        return None
    return lambda event: observer({**event, "trial": True})


def _target(
    graph: Hypergraph,
    current: Ids,
    options: Options,
    locked: Flags | None,
    observer: Observer | None,
    start: Ids | None = None,
) -> tuple[Ids, str]:
    """The placement to reach, within limits, prices and budget; and the method that found it."""
    k, price, budget = options.k, options.price_in_scale, options.max_moves
    limit = limits(graph, k, options.epsilon, options.load_epsilon)
    found = partition(
        graph, k, limit, options.seed, current=current, price=price, locked=locked,
        flat_only=options.flat_only, start=start, effort=QUICK, observer=observer,
    )  # fmt: skip
    pull = homeward(graph, current, k, price)
    seeds = seed_state(options.seed)
    part, method = found.part, found.method
    if method != FLAT:
        # what does not pay its move goes home
        term = terms(limit, k, pull=pull, locked=locked)
        part, _gain, _above = refine(rows(graph), part, k, term, seeds, stall=QUICK.stall)
    if budget is None or int((part != current).sum()) <= budget:
        return part, method
    bounded = terms(limit, k, pull=pull, home=current, budget=budget, locked=locked)
    moves = _ordered(graph, current, part, options)[:budget]
    started = current.copy()
    started[moves[:, 0]] = moves[:, 2]
    results = []
    for start, name in ((started, method), (current, FLAT)):
        refined, _gain, _above = refine(rows(graph), start, k, bounded, seeds, stall=QUICK.stall)
        results.append(judged(graph, refined, k, limit, current, name))
    best = min(results, key=lambda each: key(each, price))
    return best.part, best.method


def _ordered(graph: Hypergraph, current: Ids, target: Ids, options: Options) -> Ints:
    """See :func:`consensus.sharding.order.greedy`."""
    slack = options.transient
    limit = limits(graph, options.k, slack, None if options.load_epsilon is None else slack)
    return greedy(rows(graph), terms(limit, options.k), current, target, options.k)


def _figures(seen: Window, graph: Hypergraph, part: Ids, k: int) -> Figures:
    accounts, load = imbalances(graph, part, k)
    return Figures(
        round(cross_shard_pct(seen, part), 3), round(100 * load, 3), round(100 * accounts, 3), seen.count
    )


def _table(seen: Window, graph: Hypergraph, current: Ids, moves: Ints, k: int) -> list[Benefit]:
    part, done, table = current.copy(), 0, []
    for count in sorted({int(share * len(moves)) for share in TABLE_SHARES}):
        part[moves[done:count, 0]] = moves[done:count, 2]
        done = count
        table.append(Benefit(count, round(cross_shard_pct(seen, part), 3), costs(graph, part, k)[0] // SCALE))
    return table


def _scaled(graph: Hypergraph, factor: int) -> Hypergraph:
    return replace(graph, net_weight=graph.net_weight * factor)


def _move(row: list[int]) -> Move:
    account, source, target, saved, here, there, load = row
    return Move(account, source, target, saved // SCALE, here // SCALE, there // SCALE, load)


def _digest(moves: list[Move]) -> str:
    text = ";".join(f"{move.account},{move.source},{move.target}" for move in moves)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _refused(reason: str, before: Figures, predicted: Figures) -> Plan:
    return Plan(_digest([]), "refused", reason, [], before, predicted)
