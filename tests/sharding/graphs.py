"""Hypergraphs for tests, and the plain definitions that compiled code is held against."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

from consensus.sharding.compiled import Ids
from consensus.sharding.hypergraph import Hypergraph, build

Net = tuple[int, tuple[int, ...]]


def graph_of(vertices: int, nets: list[Net], load: list[int] | None = None) -> Hypergraph:
    start = np.cumsum([0, *(len(pins) for _weight, pins in nets)])
    pins = [pin for _weight, each in nets for pin in each]
    weight = [weight for weight, _pins in nets]
    vertex_weight = np.column_stack((np.ones(vertices), load or np.ones(vertices))).astype(np.int64)
    return build(start, np.array(pins, dtype=np.int32), np.array(weight, dtype=np.int64), vertex_weight)


def plain_costs(nets: list[Net], part: Ids) -> tuple[int, int]:
    """(km1, cut) straight from the definition."""
    spans = [(weight, len({int(part[pin]) for pin in pins})) for weight, pins in nets if pins]
    return sum(w * (n - 1) for w, n in spans), sum(w for w, n in spans if n > 1)


def least_km1(vertices: int, nets: list[Net], k: int, limit: tuple[int, int], load: list[int]) -> int | None:
    """The least km1 of all partitions within the limits; None when there is none."""
    best = None
    for blocks in itertools.product(range(k), repeat=vertices):
        part = np.array(blocks)
        inside = all(
            (part == b).sum() <= limit[0]
            and sum(load[v] for v in range(vertices) if blocks[v] == b) <= limit[1]
            for b in range(k)
        )
        if inside:
            km1 = plain_costs(nets, part)[0]
            best = km1 if best is None else min(best, km1)
    return best


def communities(groups: int, size: int, inside: int, across: int, seed: int) -> tuple[int, list[Net]]:
    """Vertices and nets: ``inside`` random pairs in each group, ``across`` between any two vertices."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(groups * size)
    nets: list[Net] = []
    for group in range(groups):
        members = names[group * size : (group + 1) * size]
        for _ in range(inside):
            a, b = rng.choice(members, 2, replace=False)
            nets.append((1, (int(a), int(b))))
    for _ in range(across):
        a, b = rng.choice(groups * size, 2, replace=False)
        nets.append((1, (int(a), int(b))))
    return groups * size, nets


@st.composite
def small(draw: st.DrawFn, vertices_max: int = 14, k_max: int = 4) -> tuple[int, list[Net], list[int], int]:
    """(vertices, nets, loads, k); nets may be equal, empty, of one vertex, or name one twice."""
    vertices = draw(st.integers(4, vertices_max))
    pin = st.integers(0, vertices - 1)
    net = st.tuples(st.integers(1, 3000), st.lists(pin, max_size=5).map(tuple))
    nets = draw(st.lists(net, min_size=1, max_size=25))
    loads = draw(st.lists(st.integers(0, 50), min_size=vertices, max_size=vertices))
    return vertices, nets, loads, draw(st.integers(2, min(k_max, vertices)))
