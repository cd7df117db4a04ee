"""Refinement of one partition: rebalance if it is overloaded, then passes until they bring nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from consensus.sharding.compiled import Ids, Ints, Seeds
from consensus.sharding.fm import fm_pass, rebalance
from consensus.sharding.gains import Rows, Terms, fresh, overload

PASSES_MAX: Final = 20


class Stall(NamedTuple):
    """When a pass gives up: after so many moves without a new best, in vertices, from ``fewest`` to ``most``.

    A pass is the last that wins no more than the share ``least`` of what the first one won, or moves no more
    than the share ``few`` of the vertices.
    """

    share: float = 1.0
    most: int = 2**62
    least: float = 0.0
    fewest: int = 400
    few: float = 0.0

    def moves(self, vertices: int) -> int:
        return max(self.fewest, min(int(self.share * vertices), self.most))


PATIENT: Final = Stall()

Observer = Callable[[dict[str, Any]], None]
"""Receives trace events ``hg.*`` without ``ts`` and ``plan``; whoever asked adds them."""

MOVES_PER_EVENT: Final = 1_000


def refine(
    graph: Rows,
    part: Ids,
    k: int,
    term: Terms,
    seeds: Seeds,
    *,
    passes: int = PASSES_MAX,
    stall: Stall = PATIENT,
    observer: Observer | None = None,
    label: dict[str, Any] | None = None,
) -> tuple[Ids, int, float]:
    """Refine a copy of ``part``.

    Args:
        graph: the hypergraph's rows.
        part: shape (n,), blocks from 0 to k - 1.
        k: how many blocks.
        term: limits, prices, budget, locked vertices.
        seeds: the generator; advanced.
        passes: at most so many.
        stall: when a pass gives up.
        observer: told the moves of each pass; None costs nothing.
        label: fields added to each event.

    Returns:
        The new partition, what it gained over ``part`` (pull included; below 0 if balance cost something),
        and its overload.
    """
    state = fresh(graph, term, part.astype(np.int32, copy=True), k)
    gain = 0
    if overload(state, term) > 0:
        moves = rebalance(graph, state, term, seeds)
        gain += int(moves[:, 3].sum())
        tell_moves(observer, {**(label or {}), "pass": 0, "why": "rebalance"}, moves)
    fruitless = stall.moves(len(part))
    little = 0.0
    for number in range(1, passes + 1):
        before = overload(state, term)
        moves, won = fm_pass(graph, state, term, seeds, fruitless)
        gain += int(won)
        tell_moves(observer, {**(label or {}), "pass": number, "gain": int(won)}, moves)
        if number == 1:
            little = stall.least * max(0, int(won))
        slight = won <= little or len(moves) <= stall.few * len(part)
        if not len(moves) or (slight and overload(state, term) >= before):
            break
    return state.part, gain, float(overload(state, term))


def tell_moves(observer: Observer | None, label: dict[str, Any], moves: Ints) -> None:
    """Report moves in events of bounded size."""
    if observer is None:
        return
    for at in range(0, len(moves), MOVES_PER_EVENT):
        observer({"k": "hg.moves", **label, "moves": moves[at : at + MOVES_PER_EVENT].tolist()})
