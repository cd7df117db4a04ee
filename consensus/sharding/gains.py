"""What moving a vertex to another block saves, kept up to date move by move.

For a net e of weight w and Φ(e, b) pins in block b, moving v from block a to b saves w when Φ(e, a) = 1 (the
net leaves a) and costs w when Φ(e, b) = 0 (the net enters b). Summed over the nets of v, with W(v) their
weights:

    gain(v, b) = benefit(v) - (W(v) - joined(v, b)) + pull(v, b) - pull(v, a)

where benefit sums the nets that have v alone in a, joined those that touch b already (Fiduccia and Mattheyses
1982; for k blocks Sanchis 1989). ``pull`` is a price on being away from home: a vertex of c accounts at home
in b has pull(v, b) = c times the price.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from consensus.sharding.compiled import Flags, Ids, Ints, compiled
from consensus.sharding.hypergraph import Hypergraph


class Rows(NamedTuple):
    """The arrays of a :class:`Hypergraph`, in the form that compiled code takes."""

    net_start: Ints
    pins: Ids
    net_weight: Ints
    vertex_weight: Ints
    vertex_start: Ints
    nets: Ids


class Terms(NamedTuple):
    """What a refinement has to respect.

    Attributes:
        limit: shape (2,): accounts and load a block may weigh.
        pull: shape (n, k), or (0, k) for none.
        home: shape (n,): the block a vertex is in now; (0,) when nobody counts moves.
        budget: accounts that may be away from home.
        locked: shape (n,), or (0,) for none: vertices that stay.
    """

    limit: Ints
    pull: Ints
    home: Ids
    budget: int
    locked: Flags


class State(NamedTuple):
    """A partition and all that its gains are made of.

    Attributes:
        part: shape (n,).
        pins_in: shape (m, k): Φ.
        joined: shape (n, k).
        benefit: shape (n,).
        degree: shape (n,): W.
        block: shape (k, 2): weights of the blocks.
        moved: shape (1,): accounts away from home.
    """

    part: Ids
    pins_in: Ids
    joined: Ints
    benefit: Ints
    degree: Ints
    block: Ints
    moved: Ints


def rows(graph: Hypergraph) -> Rows:
    return Rows(
        graph.net_start, graph.pins, graph.net_weight, graph.vertex_weight, graph.vertex_start, graph.nets
    )


def terms(
    limit: Ints,
    k: int,
    *,
    pull: Ints | None = None,
    home: Ids | None = None,
    budget: int | None = None,
    locked: Flags | None = None,
) -> Terms:
    """Terms with their defaults filled in."""
    return Terms(
        limit,
        np.zeros((0, k), dtype=np.int64) if pull is None else pull,
        np.zeros(0, dtype=np.int32) if home is None or budget is None else home,
        2**62 if budget is None else budget,
        np.zeros(0, dtype=np.bool_) if locked is None else locked,
    )


@compiled
def fresh(graph: Rows, term: Terms, part: Ids, k: int) -> State:
    """The state of ``part``, computed from nothing; ``part`` is taken over and changed by moves."""
    vertices = len(part)
    count = len(graph.net_weight)
    pins_in = np.zeros((count, k), dtype=np.int32)
    joined = np.zeros((vertices, k), dtype=np.int64)
    benefit = np.zeros(vertices, dtype=np.int64)
    degree = np.zeros(vertices, dtype=np.int64)
    block = np.zeros((k, 2), dtype=np.int64)
    moved = np.zeros(1, dtype=np.int64)
    for net in range(count):
        weight = graph.net_weight[net]
        for at in range(graph.net_start[net], graph.net_start[net + 1]):
            pins_in[net, part[graph.pins[at]]] += 1
        for at in range(graph.net_start[net], graph.net_start[net + 1]):
            vertex = graph.pins[at]
            degree[vertex] += weight
            if pins_in[net, part[vertex]] == 1:
                benefit[vertex] += weight
            for b in range(k):
                if pins_in[net, b] > 0:
                    joined[vertex, b] += weight
    for vertex in range(vertices):
        block[part[vertex], 0] += graph.vertex_weight[vertex, 0]
        block[part[vertex], 1] += graph.vertex_weight[vertex, 1]
        if len(term.home) and term.home[vertex] != part[vertex]:
            moved[0] += graph.vertex_weight[vertex, 0]
    return State(part, pins_in, joined, benefit, degree, block, moved)


@compiled
def gain_of(state: State, term: Terms, vertex: int, target: int) -> int:
    """What moving ``vertex`` to ``target`` saves; below 0 it costs."""
    gain = state.benefit[vertex] - state.degree[vertex] + state.joined[vertex, target]
    if len(term.pull):
        gain += term.pull[vertex, target] - term.pull[vertex, state.part[vertex]]
    return int(gain)


@compiled
def fits(graph: Rows, state: State, term: Terms, vertex: int, target: int) -> bool:
    """Whether ``target`` has room for ``vertex`` and the budget allows the move."""
    for column in range(2):
        weight = graph.vertex_weight[vertex, column]
        if weight > 0 and state.block[target, column] + weight > term.limit[column]:
            return False
    if len(term.home) and term.home[vertex] == state.part[vertex]:
        return bool(state.moved[0] + graph.vertex_weight[vertex, 0] <= term.budget)
    return True


@compiled
def overload(state: State, term: Terms) -> float:
    """How far the blocks lie above the limits, in limits; 0 when both are kept."""
    total = 0.0
    for b in range(state.block.shape[0]):
        for column in range(2):
            above = state.block[b, column] - term.limit[column]
            if above > 0:
                total += above / max(term.limit[column], 1)
    return total


@compiled
def move(
    graph: Rows, state: State, term: Terms, vertex: int, target: int, touched: Ids, stamp: Ids, now: int
) -> int:
    """Move ``vertex`` and bring every gain up to date.

    Vertices whose gains changed are written to ``touched``, each once (``stamp[u] == now`` marks them).

    Returns:
        How many there are.
    """
    part, pins_in, joined, benefit = state.part, state.pins_in, state.joined, state.benefit
    source = part[vertex]
    count = 0
    part[vertex] = target
    own = 0
    for place in range(graph.vertex_start[vertex], graph.vertex_start[vertex + 1]):
        net = graph.nets[place]
        weight = graph.net_weight[net]
        pins_in[net, source] -= 1
        pins_in[net, target] += 1
        left, arrived = pins_in[net, source], pins_in[net, target]
        if arrived == 1:
            own += weight
        if left > 1 and arrived > 2:
            continue
        for at in range(graph.net_start[net], graph.net_start[net + 1]):
            pin = graph.pins[at]
            changed = False
            if left == 0:
                joined[pin, source] -= weight
                changed = True
            elif left == 1 and part[pin] == source:
                benefit[pin] += weight
                changed = True
            if arrived == 1:
                joined[pin, target] += weight
                changed = True
            elif arrived == 2 and part[pin] == target and pin != vertex:
                benefit[pin] -= weight
                changed = True
            if changed and stamp[pin] != now and pin != vertex:
                stamp[pin] = now
                touched[count] = pin
                count += 1
    benefit[vertex] = own
    for column in range(2):
        weight = graph.vertex_weight[vertex, column]
        state.block[source, column] -= weight
        state.block[target, column] += weight
    if len(term.home):
        accounts = graph.vertex_weight[vertex, 0]
        if term.home[vertex] == source:
            state.moved[0] += accounts
        elif term.home[vertex] == target:
            state.moved[0] -= accounts
    return count
