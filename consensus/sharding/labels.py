"""Which block gets which number: the numbering that leaves the most accounts where they are."""

from __future__ import annotations

import numpy as np

from consensus.sharding.compiled import Ids, Ints
from consensus.sharding.hypergraph import ACCOUNTS, Hypergraph


def matched(graph: Hypergraph, part: Ids, current: Ids, k: int) -> Ids:
    """``part`` with its blocks renumbered to agree with ``current`` in as many accounts as possible."""
    agree = np.zeros((k, k), dtype=np.int64)
    np.add.at(agree, (part, current), graph.vertex_weight[:, ACCOUNTS])
    names = np.array(assignment(-agree), dtype=np.int32)
    return names[part]


def assignment(cost: Ints) -> list[int]:
    """For each row of a square matrix a column of its own, with the least sum of costs.

    The Hungarian method with potentials (Kuhn 1955; Jonker and Volgenant 1987), O(k³).
    """
    size = len(cost)
    far = int(abs(cost).sum()) + 1
    row_price, column_price = [0] * (size + 1), [0] * (size + 1)
    row_of = [0] * (size + 1)
    for row in range(1, size + 1):
        row_of[0] = row
        column, slack = 0, [far] * (size + 1)
        came_from, used = [0] * (size + 1), [False] * (size + 1)
        while row_of[column] != 0:
            used[column] = True
            least, best = far, 0
            for other in range(1, size + 1):
                if used[other]:
                    continue
                reduced = (
                    int(cost[row_of[column] - 1, other - 1]) - row_price[row_of[column]] - column_price[other]
                )
                if reduced < slack[other]:
                    slack[other], came_from[other] = reduced, column
                if slack[other] < least:
                    least, best = slack[other], other
            for other in range(size + 1):
                if used[other]:
                    row_price[row_of[other]] += least
                    column_price[other] -= least
                else:
                    slack[other] -= least
            column = best
        while column:
            row_of[column], column = row_of[came_from[column]], came_from[column]
    result = [0] * size
    for column in range(1, size + 1):
        result[row_of[column] - 1] = column - 1
    return result
