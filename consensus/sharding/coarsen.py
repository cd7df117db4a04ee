"""Coarsening: join vertices that share heavy nets, so that FM can move whole communities.

Heavy-edge rating (Karypis and Kumar 1999): u and v are rated by the sum of w(e) / (|e| - 1) over the nets
they share. Each vertex, in random order, joins the cluster of its best-rated neighbour unless that would
weigh more than ``heaviest`` in either weight. Locked vertices stay alone; with ``part`` given, only vertices
of one block join, which makes a V-cycle.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from consensus.sharding.compiled import Flags, Ids, Ints, Seeds, compiled, shuffled
from consensus.sharding.gains import Rows
from consensus.sharding.hypergraph import Hypergraph, build

NET_MAX: Final = 200
"""Larger nets say little about who belongs together and are passed over."""


class Level(NamedTuple):
    """A coarser hypergraph and ``onto``, shape (n of the finer one,): where each finer vertex went."""

    graph: Hypergraph
    onto: Ids


@compiled
def cluster(
    graph: Rows, part: Ids, locked: Flags, heaviest: Ints, fewest: int, seeds: Seeds
) -> tuple[Ids, int]:
    """Number the clusters: shape (n,), and how many there are; stops joining at ``fewest``."""
    vertices = len(graph.vertex_weight)
    into = np.arange(vertices).astype(np.int32)
    weight = graph.vertex_weight.copy()
    alone = np.ones(vertices, dtype=np.bool_)
    rating = np.zeros(vertices, dtype=np.float64)
    rated_by = np.full(vertices, -1, dtype=np.int32)
    seen = np.empty(vertices, dtype=np.int32)
    clusters = vertices
    for vertex in shuffled(vertices, seeds):
        if clusters <= fewest:
            break
        if not alone[vertex] or (len(locked) and locked[vertex]):
            continue
        count = 0
        for place in range(graph.vertex_start[vertex], graph.vertex_start[vertex + 1]):
            net = graph.nets[place]
            first, last = graph.net_start[net], graph.net_start[net + 1]
            if last - first > NET_MAX:
                continue
            share = graph.net_weight[net] / (last - first - 1)
            for at in range(first, last):
                root = into[graph.pins[at]]
                # once per net, however many pins of it the cluster holds
                if root != vertex and rated_by[root] != net:
                    rated_by[root] = net
                    if rating[root] == 0.0:
                        seen[count] = root
                        count += 1
                    rating[root] += share
        best, best_rating = -1, 0.0
        for at in range(count):
            root = seen[at]
            value = rating[root] / (weight[root, 0] * weight[vertex, 0])
            rating[root] = 0.0
            rated_by[root] = -1
            if (
                weight[vertex, 0] + weight[root, 0] > heaviest[0]
                or weight[vertex, 1] + weight[root, 1] > heaviest[1]
            ):
                continue
            if (len(part) and part[root] != part[vertex]) or (len(locked) and locked[root]):
                continue
            # the lighter of two equals, so that clusters grow evenly
            if value > best_rating or (value == best_rating and weight[root, 0] < weight[best, 0]):
                best, best_rating = root, value
        if best >= 0:
            into[vertex] = best
            weight[best, 0] += weight[vertex, 0]
            weight[best, 1] += weight[vertex, 1]
            alone[best] = False
            alone[vertex] = False
            clusters -= 1
    number = np.full(vertices, -1, dtype=np.int32)
    count = 0
    for vertex in range(vertices):
        if into[vertex] == vertex:
            number[vertex] = count
            count += 1
    for vertex in range(vertices):
        into[vertex] = number[into[vertex]]
    return into, count


def contract(graph: Hypergraph, onto: Ids, count: int) -> Hypergraph:
    """The hypergraph over ``count`` clusters; nets inside one are gone, equal nets merged."""
    weight = np.zeros((count, 2), dtype=np.int64)
    for column in (0, 1):
        np.add.at(weight[:, column], onto, graph.vertex_weight[:, column])
    return build(graph.net_start, onto[graph.pins], graph.net_weight, weight)


@compiled
def summed(values: Ints, onto: Ids, count: int) -> Ints:
    """Rows of ``values``, shape (n, k), summed over each cluster."""
    result = np.zeros((count, values.shape[1]), dtype=np.int64)
    for vertex in range(len(onto)):
        for column in range(values.shape[1]):
            result[onto[vertex], column] += values[vertex, column]
    return result
