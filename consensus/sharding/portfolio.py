"""The partitioner: several methods, the best result.

No single method wins everywhere: refinement of the current placement moves little and wins on hub graphs, the
multilevel scheme wins where communities are scattered, V-cycles improve on it. Each is run and the best kept,
by overload first and by km1 plus the price of the moves second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from consensus.sharding.abreast import Abreast
from consensus.sharding.compiled import Flags, Ids, Ints, Seeds, seed_state
from consensus.sharding.gains import Terms, rows, terms
from consensus.sharding.hypergraph import ACCOUNTS, Hypergraph, block_weights, costs, imbalances
from consensus.sharding.initial import TRIES, Tries
from consensus.sharding.labels import matched
from consensus.sharding.multilevel import multilevel
from consensus.sharding.refine import PATIENT, Observer, Stall, refine

K_MAX: Final = 64
FLAT: Final = "flat"
WORK: Final = 1_200_000
"""Pins that V-cycles and repetitions may go over; large hypergraphs get fewer of them."""
AGAIN_CYCLES: Final = 1
"""V-cycles from a partition that is good already."""


class Effort(NamedTuple):
    """How hard to search: multilevel runs, V-cycles, first partitions of each run, when a pass gives up."""

    repeats: int
    cycles: int
    tries: Tries
    stall: Stall


THOROUGH: Final = Effort(repeats=6, cycles=3, tries=TRIES, stall=PATIENT)
"""For a partition that is compared with others'."""
QUICK: Final = Effort(
    repeats=1,
    cycles=2,
    tries=Tries(most=8, stall=Stall(share=0.25, fewest=0)),
    stall=Stall(share=0.08, most=2_000, least=0.01, few=0.002),
)
"""For a plan, while people wait: on traffic it saves as much, in a quarter of the time."""


@dataclass(frozen=True, slots=True)
class Result:
    """A partition and what it is worth.

    ``part`` has shape (n,); ``overload`` is 0 when both limits are kept; ``moved`` counts accounts away from
    ``current``; ``method`` is ``flat``, ``multilevel`` or ``v-cycle``.
    """

    part: Ids
    km1: int
    cut: int
    overload: float
    moved: int
    method: str


def partition(
    graph: Hypergraph,
    k: int,
    limit: Ints,
    seed: int,
    *,
    current: Ids | None = None,
    price: int = 0,
    locked: Flags | None = None,
    flat_only: bool = False,
    start: Ids | None = None,
    effort: Effort = THOROUGH,
    observer: Observer | None = None,
) -> Result:
    """Partition into ``k`` blocks; the same arguments give the same result.

    Args:
        graph: the hypergraph.
        k: from 2 to ``K_MAX``.
        limit: shape (2,): accounts and load a block may weigh
            (:func:`~consensus.sharding.hypergraph.limits`).
        seed: of the generator.
        current: shape (n,): the placement now. Gives the flat method its start and the blocks their numbers.
        price: what moving one account has to save, in net weight.
        locked: shape (n,): vertices that stay; needs ``current``.
        flat_only: only refine ``current``.
        start: shape (n,): a good partition of nearly this hypergraph; V-cycles begin there, without the
            runs of other methods before them.
        effort: how hard to search.
        observer: told what is done as trace events; None costs nothing.

    Raises:
        ValueError: an argument does not fit the others.
    """
    _check(graph, k, current, locked, flat_only)
    seeds = seed_state(seed)
    flags = np.zeros(0, dtype=np.bool_) if locked is None or not locked.any() else locked
    pull = homeward(graph, current, k, price)
    found: list[Result] = []

    flat = partial(_flat, graph, current, k, terms(limit, k, pull=pull, locked=flags), seed, effort)

    def judge_flat(part: Ids) -> None:
        found.insert(0, judged(graph, part, k, limit, current, FLAT))
        tell_quality(observer, graph, found[0], k)

    def search(told: Observer | None) -> None:
        def judge(part: Ids, method: str) -> Result:
            if current is not None and not len(flags):
                part = matched(graph, part, current, k)
            result = judged(graph, part, k, limit, current, method)
            found.append(result)
            tell_quality(told, graph, result, k)
            return result

        fixed = None
        if len(flags) and current is not None:
            fixed = np.where(flags, current, -1).astype(np.int32)
        _search(graph, k, limit, seeds, fixed, start, effort, judge, told)

    if flat_only:
        judge_flat(flat(observer))
    elif current is None or start is not None:
        search(observer)
    else:
        with Abreast(flat, judge_flat, observer) as both:
            search(both.second)
            both.join()
    best = min(found, key=lambda each: key(each, price))
    tell_quality(observer, graph, best, k, final=True)
    return best


def _flat(
    graph: Hypergraph,
    current: Ids | None,
    k: int,
    term: Terms,
    seed: int,
    effort: Effort,
    observer: Observer | None,
) -> Ids:
    """``current``, refined as it lies there."""
    part, _gain, _above = refine(
        rows(graph),
        np.ascontiguousarray(current, dtype=np.int32),
        k,
        term,
        seed_state(seed),
        stall=effort.stall,
        observer=observer,
        label={"method": FLAT},
    )
    return part


def _search(
    graph: Hypergraph,
    k: int,
    limit: Ints,
    seeds: Seeds,
    fixed: Ids | None,
    start: Ids | None,
    effort: Effort,
    judge: Any,
    observer: Observer | None,
) -> None:
    """Multilevel, as often as the size allows, or ``start``; then V-cycles on the best of it."""
    rounds = WORK // max(len(graph.pins), 1)
    best: Result | None = None
    if start is not None:
        best = judge(start, "v-cycle")
        rounds = min(rounds, AGAIN_CYCLES)
    repeats = 0 if start is not None else max(1, min(effort.repeats, rounds // 4))
    for _number in range(repeats):
        label = {"method": "multilevel"}
        part = multilevel(
            graph,
            k,
            limit,
            seeds,
            fixed=fixed,
            tries=effort.tries,
            stall=effort.stall,
            observer=observer,
            label=label,
        )
        result = judge(part, "multilevel")
        if best is None or key(result, 0) < key(best, 0):
            best = result
    assert best is not None
    # A start too large for a V-cycle while people wait lacks mostly single moves; the planner makes those.
    for _cycle in range(min(effort.cycles, rounds)):
        label = {"method": "v-cycle"}
        part = multilevel(
            graph, k, limit, seeds, start=best.part, fixed=fixed, stall=effort.stall,
            observer=observer, label=label,
        )  # fmt: skip
        result = judge(part, "v-cycle")
        if key(result, 0) < key(best, 0):
            best = result


def key(result: Result, price: int) -> tuple[float, int]:
    """Less is better."""
    return result.overload, result.km1 + price * result.moved


def homeward(graph: Hypergraph, current: Ids | None, k: int, price: int) -> Ints:
    """Shape (n, k): the pull of the current block; (0, k) when moves are free."""
    if current is None or price == 0:
        return np.zeros((0, k), dtype=np.int64)
    pull = np.zeros((graph.vertices, k), dtype=np.int64)
    pull[np.arange(graph.vertices), current] = price * graph.vertex_weight[:, ACCOUNTS]
    return pull


def judged(graph: Hypergraph, part: Ids, k: int, limit: Ints, current: Ids | None, method: str) -> Result:
    """The :class:`Result` that ``part`` is."""
    km1, cut = costs(graph, part, k)
    above = np.maximum(block_weights(graph, part, k) - limit, 0) / np.maximum(limit, 1)
    moved = 0 if current is None else int(graph.vertex_weight[part != current, ACCOUNTS].sum())
    return Result(part, km1, cut, float(above.sum()), moved, method)


def tell_quality(
    observer: Observer | None, graph: Hypergraph, result: Result, k: int, *, final: bool = False
) -> None:
    """Report a result."""
    if observer is not None:
        worst = max(imbalances(graph, result.part, k))
        observer(
            {
                "k": "hg.quality", "km1": result.km1, "imbalance": round(worst, 6), "method": result.method,
                "moved": result.moved, "final": final,
            }
        )  # fmt: skip


def _check(graph: Hypergraph, k: int, current: Ids | None, locked: Flags | None, flat_only: bool) -> None:
    if not 2 <= k <= K_MAX:
        raise ValueError(f"k: must be 2 to {K_MAX}, not {k}")
    if graph.vertices < k:
        raise ValueError(f"k: {graph.vertices} vertices cannot fill {k} blocks")
    if current is None and (flat_only or locked is not None):
        raise ValueError("current: needed to refine it and to lock vertices where they are")
    if current is not None and (
        len(current) != graph.vertices or int(current.min()) < 0 or int(current.max()) >= k
    ):
        raise ValueError(f"current: expected a block from 0 to {k - 1} for each of {graph.vertices} vertices")
    if locked is not None and len(locked) != graph.vertices:
        raise ValueError(f"locked: expected a flag for each of {graph.vertices} vertices")
