"""The order in which a plan's moves are made: greedy by gain, so that a plan half done is worth the most.

Every gain is the true one at that moment, with the moves before it made. A move that would lift a block above
the transient limits waits for others; when all that are left would, the best of them goes.
"""

from __future__ import annotations

import numpy as np

from consensus.sharding.buckets import below, empty, put, remove, top_of
from consensus.sharding.compiled import Ids, Ints, compiled
from consensus.sharding.gains import Rows, Terms, fits, fresh, gain_of, move


@compiled
def greedy(graph: Rows, term: Terms, current: Ids, target: Ids, k: int) -> Ints:
    """Moves from ``current`` to ``target``, best first.

    Args:
        graph: the hypergraph's rows.
        term: its limits are the transient ones.
        current: shape (n,), left as it is.
        target: shape (n,).
        k: how many blocks.

    Returns:
        Shape (r, 7): vertex, from, to, gain, weight of nets shared with others in ``from``, the same in
        ``to``, load.
    """
    state = fresh(graph, term, current.copy(), k)
    vertices = len(current)
    buckets = empty(vertices, k)
    pending = 0
    for vertex in range(vertices):
        if current[vertex] != target[vertex]:
            pending += 1
            put(buckets, vertex, target[vertex], gain_of(state, term, vertex, target[vertex]))
    log = np.empty((pending, 7), dtype=np.int64)
    touched = np.empty(vertices, dtype=np.int32)
    stamp = np.full(vertices, -1, dtype=np.int32)
    for count in range(pending):
        chosen, best = -1, 0
        anyway, best_anyway = -1, 0
        for block in range(k):
            place = top_of(buckets, block)
            seen = 0
            while place >= 0 and seen < 64:
                vertex = buckets.head[block, place]
                while vertex >= 0 and seen < 64:
                    gain = gain_of(state, term, vertex, block)
                    if anyway < 0 or gain > best_anyway:
                        anyway, best_anyway = vertex, gain
                    seen += 1
                    if fits(graph, state, term, vertex, block):
                        if chosen < 0 or gain > best:
                            chosen, best = vertex, gain
                        seen = 64
                    vertex = buckets.after[vertex, block]
                place = below(buckets, block, place)
        vertex = chosen if chosen >= 0 else anyway
        goal, source = target[vertex], state.part[vertex]
        log[count, 0], log[count, 1], log[count, 2] = vertex, source, goal
        log[count, 3] = gain_of(state, term, vertex, goal)
        log[count, 4] = state.degree[vertex] - state.benefit[vertex]
        log[count, 5] = state.joined[vertex, goal]
        log[count, 6] = graph.vertex_weight[vertex, 1]
        remove(buckets, vertex, goal)
        changed = move(graph, state, term, vertex, goal, touched, stamp, count)
        for at in range(changed):
            other = touched[at]
            if buckets.where[other, target[other]] >= 0:
                put(buckets, other, target[other], gain_of(state, term, other, target[other]))
    return log
