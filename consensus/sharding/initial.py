"""A first partition of the coarsest hypergraph: grow blocks from seeds, or draw at random, and refine.

Growing (Karypis and Kumar 1999, greedy hypergraph growing): the lightest block takes the free vertex most
strongly tied to it, until none is free.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from consensus.sharding.compiled import Flags, Ids, Ints, Seeds, compiled, draw, shuffled
from consensus.sharding.gains import Rows, Terms
from consensus.sharding.refine import Stall, refine

GROW_MAX: Final = 6_000
"""Growing looks at every free vertex at each step; above this many vertices only drawing is tried."""
WORK: Final = 400_000
"""Tries are bounded by this many vertices looked at in all."""
TRIES_MAX: Final = 24
TRIES_MIN: Final = 4


class Tries(NamedTuple):
    """First partitions that are tried: at most ``most``, and when a pass over one of them gives up."""

    most: int = TRIES_MAX
    stall: Stall = Stall(share=0.5)


TRIES: Final = Tries()


def best_of_tries(graph: Rows, k: int, term: Terms, seeds: Seeds, fixed: Ids, effort: Tries) -> Ids:
    """The least overloaded, then cheapest, of several refined first partitions.

    ``fixed``: shape (n,), the block of each locked vertex and -1 for the others.
    """
    vertices = len(graph.vertex_weight)
    tries = min(effort.most, max(TRIES_MIN, WORK // max(vertices * 10, 1)))
    best: Ids | None = None
    best_key = (0.0, 0)
    for number in range(tries):
        if vertices <= GROW_MAX and number % 4 != 3:
            part = _grown(graph, k, term.limit, seeds, fixed)
        else:
            part = _drawn(graph, k, term.limit, seeds, fixed)
        start = _cost(graph, part, k, term.pull)
        part, gain, above = refine(graph, part, k, term, seeds, passes=6, stall=effort.stall)
        key = (above, start - gain)
        if best is None or key < best_key:
            best, best_key = part, key
    assert best is not None
    return best


@compiled
def _cost(graph: Rows, part: Ids, k: int, pull: Ints) -> int:
    seen = np.full(k, -1, dtype=np.int64)
    total = 0
    for net in range(len(graph.net_weight)):
        touched = 0
        for at in range(graph.net_start[net], graph.net_start[net + 1]):
            block = part[graph.pins[at]]
            if seen[block] != net:
                seen[block] = net
                touched += 1
        total += (touched - 1) * graph.net_weight[net]
    if len(pull):
        for vertex in range(len(part)):
            total -= pull[vertex, part[vertex]]
    return total


@compiled
def _lightest(block: Ints, limit: Ints, k: int) -> int:
    best, best_share = 0, np.inf
    for b in range(k):
        share = max(block[b, 0] / max(limit[0], 1), block[b, 1] / max(limit[1], 1))
        if share < best_share:
            best, best_share = b, share
    return best


@compiled
def _drawn(graph: Rows, k: int, limit: Ints, seeds: Seeds, fixed: Ids) -> Ids:
    """Heavy vertices first, each to the lightest block; equal ones in random order."""
    vertices = len(graph.vertex_weight)
    part = fixed.copy()
    block = np.zeros((k, 2), dtype=np.int64)
    share = np.zeros(vertices)
    order = shuffled(vertices, seeds)
    for at in range(vertices):
        vertex = order[at]
        if part[vertex] >= 0:
            block[part[vertex]] += graph.vertex_weight[vertex]
        for column in range(2):
            share[at] = max(share[at], graph.vertex_weight[vertex, column] / max(limit[column], 1))
    for at in np.argsort(-share, kind="mergesort"):
        vertex = order[at]
        if part[vertex] < 0:
            part[vertex] = _lightest(block, limit, k)
            block[part[vertex]] += graph.vertex_weight[vertex]
    return part


@compiled
def _grown(graph: Rows, k: int, limit: Ints, seeds: Seeds, fixed: Ids) -> Ids:
    vertices = len(graph.vertex_weight)
    part = np.full(vertices, -1, dtype=np.int32)
    block = np.zeros((k, 2), dtype=np.int64)
    tied = np.zeros((vertices, k), dtype=np.int64)
    entered = np.zeros((len(graph.net_weight), k), dtype=np.bool_)
    order = shuffled(vertices, seeds)
    free = vertices
    left = 0
    while free > 0:
        vertex, target = -1, 0
        while left < vertices and fixed[left] < 0:
            left += 1
        if left < vertices:
            vertex, target = left, fixed[left]
            left += 1
        else:
            target = _lightest(block, limit, k)
            best = 0
            # random order decides between equals; so does it where nothing is tied yet
            shift = draw(seeds, free)
            for at in range(free):
                other = order[(at + shift) % free]
                if tied[other, target] > best:
                    room = True
                    for column in range(2):
                        if block[target, column] + graph.vertex_weight[other, column] > limit[column]:
                            room = False
                    if room:
                        vertex, best = other, tied[other, target]
            if vertex < 0:
                vertex = order[shift]
        part[vertex] = target
        block[target] += graph.vertex_weight[vertex]
        for at in range(free):
            if order[at] == vertex:
                order[at] = order[free - 1]
                break
        free -= 1
        for place in range(graph.vertex_start[vertex], graph.vertex_start[vertex + 1]):
            net = graph.nets[place]
            if entered[net, target]:
                continue
            entered[net, target] = True
            for at in range(graph.net_start[net], graph.net_start[net + 1]):
                tied[graph.pins[at], target] += graph.net_weight[net]
    return part


def fixed_blocks(part: Ids | None, locked: Flags, vertices: int) -> Ids:
    """Shape (n,): the block of each locked vertex, -1 for the others."""
    fixed = np.full(vertices, -1, dtype=np.int32)
    if part is not None and len(locked):
        fixed[locked] = part[locked]
    return fixed
