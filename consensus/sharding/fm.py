"""k-way Fiduccia-Mattheyses refinement: move the best vertex, lock it, go on, keep the best prefix.

One pass moves each vertex at most once and takes the best move that keeps the limits, also when it costs;
that is how it climbs out of local optima. It ends when nothing can move or when the last ``stall`` moves
brought no new best. Then everything after the best prefix is rolled back, so that a pass never worsens a
partition (Fiduccia and Mattheyses 1982, sections 3 and 4). "Best" compares overload first and cost second: a
start above a limit is brought below it where single moves can do so.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from consensus.sharding.buckets import Buckets, below, empty, put, remove, top_of
from consensus.sharding.compiled import Ids, Ints, Seeds, compiled, draw, shuffled
from consensus.sharding.gains import Rows, State, Terms, fits, gain_of, move, overload

SCAN: Final = 64
"""Moves looked at in one block's buckets before the block counts as full until somebody leaves it."""


EXCHANGES: Final = 40
"""Trades tried per vertex when single moves cannot bring the overload to nothing."""


class Pass(NamedTuple):
    """What a pass kept: ``moves`` shape (r, 4) of vertex, from, to, gain; and the sum of their gains."""

    moves: Ints
    gain: int


@compiled
def _offer(buckets: Buckets, state: State, term: Terms, vertex: int, k: int) -> None:
    """Bring the moves of ``vertex`` up to date: to blocks its nets touch, or that pull it."""
    for target in range(k):
        if target == state.part[vertex]:
            continue
        near = state.joined[vertex, target] > 0
        if not near and len(term.pull):
            near = term.pull[vertex, target] > 0
        if near:
            put(buckets, vertex, target, gain_of(state, term, vertex, target))
        else:
            remove(buckets, vertex, target)


@compiled
def _first_that_fits(graph: Rows, state: State, term: Terms, buckets: Buckets, target: int) -> int:
    seen = 0
    place = top_of(buckets, target)
    while place >= 0:
        vertex = buckets.head[target, place]
        while vertex >= 0:
            if fits(graph, state, term, vertex, target):
                return int(vertex)
            seen += 1
            if seen >= SCAN:
                return -1
            vertex = buckets.after[vertex, target]
        place = below(buckets, target, place)
    return -1


@compiled
def _choose(graph: Rows, state: State, term: Terms, buckets: Buckets, full: Ids, k: int) -> tuple[int, int]:
    """The best move (vertex, target) that fits; (-1, -1) for none. Of equal ones, into the lightest block."""
    best_vertex, best_target, best_gain, best_load = -1, -1, 0, 0.0
    for target in range(k):
        if full[target]:
            continue
        vertex = _first_that_fits(graph, state, term, buckets, target)
        if vertex < 0:
            full[target] = 1
            continue
        gain = gain_of(state, term, vertex, target)
        load = 0.0
        for column in range(2):
            load = max(load, state.block[target, column] / max(term.limit[column], 1))
        if best_target < 0 or gain > best_gain or (gain == best_gain and load < best_load):
            best_vertex, best_target, best_gain, best_load = vertex, target, gain, load
    return best_vertex, best_target


@compiled
def fm_pass(graph: Rows, state: State, term: Terms, seeds: Seeds, stall: int) -> Pass:
    """One pass; ``state`` is changed to the best prefix."""
    vertices, k = state.joined.shape
    buckets = empty(vertices, k)
    locked = np.zeros(vertices, dtype=np.bool_)
    if len(term.locked):
        locked[:] = term.locked
    for vertex in shuffled(vertices, seeds):
        if not locked[vertex]:
            _offer(buckets, state, term, vertex, k)
    log = np.empty((vertices, 4), dtype=np.int64)
    touched = np.empty(vertices, dtype=np.int32)
    stamp = np.full(vertices, -1, dtype=np.int32)
    full = np.zeros(k, dtype=np.int32)
    above = overload(state, term)
    best_above, best_gain, gain_sum = above, 0, 0
    count, best = 0, 0
    while count - best < stall:
        vertex, target = _choose(graph, state, term, buckets, full, k)
        if vertex < 0:
            break
        gain = gain_of(state, term, vertex, target)
        source = state.part[vertex]
        locked[vertex] = True
        for other in range(k):
            remove(buckets, vertex, other)
        moved = state.moved[0]
        changed = move(graph, state, term, vertex, target, touched, stamp, count)
        for at in range(changed):
            if not locked[touched[at]]:
                _offer(buckets, state, term, touched[at], k)
        full[source] = 0
        if state.moved[0] < moved:
            full[:] = 0
        log[count, 0], log[count, 1], log[count, 2], log[count, 3] = vertex, source, target, gain
        count += 1
        gain_sum += gain
        if above > 0.0:
            above = overload(state, term)
        if above < best_above or (above == best_above and gain_sum > best_gain):
            best_above, best_gain, best = above, gain_sum, count
    for at in range(count - 1, best - 1, -1):
        move(graph, state, term, log[at, 0], log[at, 1], touched, stamp, vertices + at)
    return Pass(log[:best].copy(), best_gain)


@compiled
def rebalance(graph: Rows, state: State, term: Terms, seeds: Seeds) -> Ints:
    """Move vertices out of overloaded blocks, least loss per weight first, until none is or nothing fits.

    Returns:
        Shape (r, 4): vertex, from, to, gain.
    """
    vertices, k = state.joined.shape
    touched = np.empty(vertices, dtype=np.int32)
    stamp = np.full(vertices, -1, dtype=np.int32)
    log = np.empty((2 * vertices + 6, 4), dtype=np.int64)
    count = 0
    for _round in range(4):
        if overload(state, term) <= 0.0:
            break
        key = np.full(vertices, -np.inf)
        for vertex in shuffled(vertices, seeds):
            source = state.part[vertex]
            if len(term.locked) and term.locked[vertex]:
                continue
            relief = 0.0
            for column in range(2):
                if state.block[source, column] > term.limit[column]:
                    relief += graph.vertex_weight[vertex, column] / max(term.limit[column], 1)
            if relief <= 0.0:
                continue
            for target in range(k):
                if target != source and fits(graph, state, term, vertex, target):
                    gain = gain_of(state, term, vertex, target)
                    key[vertex] = max(key[vertex], gain * relief if gain > 0 else gain / relief)
        before = count
        for vertex in np.argsort(-key, kind="mergesort"):
            if key[vertex] == -np.inf or count == len(log):
                break
            source = state.part[vertex]
            heavy = False
            for column in range(2):
                if (
                    state.block[source, column] > term.limit[column]
                    and graph.vertex_weight[vertex, column] > 0
                ):
                    heavy = True
            if not heavy:
                continue
            best_target, best_gain = -1, 0
            for target in range(k):
                if target != source and fits(graph, state, term, vertex, target):
                    gain = gain_of(state, term, vertex, target)
                    if best_target < 0 or gain > best_gain:
                        best_target, best_gain = target, gain
            if best_target < 0:
                continue
            move(graph, state, term, vertex, best_target, touched, stamp, count)
            log[count, 0], log[count, 1], log[count, 2], log[count, 3] = (
                vertex,
                source,
                best_target,
                best_gain,
            )
            count += 1
            if overload(state, term) <= 0.0:
                break
        if count == before:
            break
    if overload(state, term) > 0.0:
        count = _exchange(graph, state, term, seeds, log, count, touched, stamp)
    return log[:count].copy()


@compiled
def _exchange(
    graph: Rows, state: State, term: Terms, seeds: Seeds, log: Ints, count: int, touched: Ids, stamp: Ids
) -> int:
    """Trade random vertices of a block above a limit for one of another, where that lowers the overload.

    One or two against one or none: where one limit is met everywhere and the other is not, no single move
    fits.
    """
    vertices = len(state.part)
    above = overload(state, term)
    trade = np.empty(3, dtype=np.int64)
    for _try in range(EXCHANGES * vertices):
        if above <= 0.0 or count + 6 > len(log):
            break
        size = 2 + draw(seeds, 2)
        for at in range(size):
            trade[at] = draw(seeds, vertices)
        source = state.part[trade[0]]
        back = trade[size - 1]
        target = state.part[back]
        usable = source != target and trade[0] != trade[1]
        for at in range(size - 1):
            usable = usable and state.part[trade[at]] == source
        for at in range(size):
            usable = usable and not (len(term.locked) and term.locked[trade[at]])
        if not usable:
            continue
        over = False
        for column in range(2):
            over = over or state.block[source, column] > term.limit[column]
            over = over or state.block[target, column] > term.limit[column]
        if not over:
            continue
        budgeted = state.moved[0]
        start = count
        for at in range(size):
            vertex = trade[at]
            goal = target if at < size - 1 else source
            origin = state.part[vertex]
            gain = gain_of(state, term, vertex, goal)
            move(graph, state, term, vertex, goal, touched, stamp, 2 * vertices + _try)
            log[count, 0], log[count, 1], log[count, 2], log[count, 3] = vertex, origin, goal, gain
            count += 1
        now = overload(state, term)
        if now < above and (state.moved[0] <= term.budget or state.moved[0] <= budgeted):
            above = now
            continue
        for at in range(count - 1, start - 1, -1):
            move(graph, state, term, log[at, 0], log[at, 1], touched, stamp, 2 * vertices + _try)
        count = start
    return count
