"""The hypergraph of a window of traffic: vertices are accounts, nets are the transactions over them.

Kept in compressed rows, as arrays of numpy. Two weights per vertex: 1 (an account) and its load, so that both
can be balanced. Equal nets are merged into one that weighs their sum.

Costs (Çatalyürek and Aykanat 1999): a net that touches λ blocks costs λ - 1 times its weight in ``km1``,
which is the consensus work a transaction needs beyond one cluster, and once its weight in ``cut``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from consensus.sharding.compiled import Ids, Ints, compiled

ACCOUNTS: Final = 0
LOAD: Final = 1
"""Columns of the vertex weights."""


@dataclass(frozen=True, slots=True)
class Hypergraph:
    """``n`` vertices, ``m`` nets, ``p`` pins.

    Attributes:
        net_start: shape (m + 1,); the pins of net e are ``pins[net_start[e]:net_start[e + 1]]``.
        pins: shape (p,), vertices, each at most once per net.
        net_weight: shape (m,), above 0.
        vertex_weight: shape (n, 2): accounts, load; 0 or more.
        vertex_start: shape (n + 1,); the nets of vertex v are ``nets[vertex_start[v]:vertex_start[v + 1]]``.
        nets: shape (p,).
    """

    net_start: Ints
    pins: Ids
    net_weight: Ints
    vertex_weight: Ints
    vertex_start: Ints
    nets: Ids

    @property
    def vertices(self) -> int:
        return len(self.vertex_start) - 1

    @property
    def net_count(self) -> int:
        return len(self.net_start) - 1


def build(net_start: Ints, pins: Ids, net_weight: Ints, vertex_weight: Ints) -> Hypergraph:
    """A hypergraph from its nets: pins sorted and made unique, nets of one pin dropped, equal nets merged.

    Args:
        net_start: shape (m + 1,), offsets into ``pins``.
        pins: shape (p,), vertices from 0 to n - 1.
        net_weight: shape (m,).
        vertex_weight: shape (n, 2).

    Raises:
        ValueError: a pin names no vertex.
    """
    if len(pins) and (int(pins.min()) < 0 or int(pins.max()) >= len(vertex_weight)):
        raise ValueError("a pin names a vertex that is not there")
    start, merged, weight = merge_nets(
        np.ascontiguousarray(net_start, dtype=np.int64),
        np.ascontiguousarray(pins, dtype=np.int32),
        np.ascontiguousarray(net_weight, dtype=np.int64),
    )
    vertex_start, nets = _transpose(len(vertex_weight), start, merged)
    weights = np.ascontiguousarray(vertex_weight, dtype=np.int64)
    return Hypergraph(start, merged, weight, weights, vertex_start, nets)


@compiled
def merge_nets(net_start: Ints, pins: Ids, net_weight: Ints) -> tuple[Ints, Ids, Ints]:
    """Sort and deduplicate the pins of each net, drop nets of fewer than two, merge equal ones."""
    count = len(net_start) - 1
    slots = 16
    while slots < 2 * count:
        slots *= 2
    table = np.full(slots, -1, dtype=np.int32)
    start = np.empty(count + 1, dtype=np.int64)
    out = np.empty(len(pins), dtype=np.int32)
    weight = np.empty(count, dtype=np.int64)
    kept = 0
    start[0] = 0
    for net in range(count):
        # the net is written behind the kept ones, and stays there only if it is new
        base = start[kept]
        end = base
        first, last = net_start[net], net_start[net + 1]
        if last - first > 32:
            ordered = np.sort(pins[first:last])
            for at in range(len(ordered)):
                if end == base or out[end - 1] != ordered[at]:
                    out[end] = ordered[at]
                    end += 1
        else:
            for at in range(first, last):
                pin = pins[at]
                place = end
                while place > base and out[place - 1] > pin:
                    place -= 1
                if place > base and out[place - 1] == pin:
                    continue
                for later in range(end, place, -1):
                    out[later] = out[later - 1]
                out[place] = pin
                end += 1
        if end - base < 2:
            continue
        mix = np.uint64(end - base)
        for at in range(base, end):
            mix = (mix ^ np.uint64(out[at])) * np.uint64(0x9E3779B97F4A7C15)
            mix ^= mix >> np.uint64(29)
        slot = np.int64(mix & np.uint64(slots - 1))
        while True:
            other = table[slot]
            if other < 0:
                table[slot] = kept
                weight[kept] = net_weight[net]
                kept += 1
                start[kept] = end
                break
            equal = start[other + 1] - start[other] == end - base
            if equal:
                for at in range(end - base):
                    if out[start[other] + at] != out[base + at]:
                        equal = False
                        break
            if equal:
                weight[other] += net_weight[net]
                break
            slot = (slot + 1) & (slots - 1)
    return start[: kept + 1].copy(), out[: start[kept]].copy(), weight[:kept].copy()


@compiled
def _transpose(vertices: int, net_start: Ints, pins: Ids) -> tuple[Ints, Ids]:
    start = np.zeros(vertices + 1, dtype=np.int64)
    for pin in pins:
        start[pin + 1] += 1
    for vertex in range(vertices):
        start[vertex + 1] += start[vertex]
    nets = np.empty(len(pins), dtype=np.int32)
    place = start[:-1].copy()
    for net in range(len(net_start) - 1):
        for at in range(net_start[net], net_start[net + 1]):
            pin = pins[at]
            nets[place[pin]] = net
            place[pin] += 1
    return start, nets


@compiled
def _costs(net_start: Ints, pins: Ids, net_weight: Ints, part: Ids, k: int) -> tuple[int, int]:
    seen = np.full(k, -1, dtype=np.int64)
    km1 = 0
    cut = 0
    for net in range(len(net_start) - 1):
        touched = 0
        for at in range(net_start[net], net_start[net + 1]):
            block = part[pins[at]]
            if seen[block] != net:
                seen[block] = net
                touched += 1
        km1 += (touched - 1) * net_weight[net]
        if touched > 1:
            cut += net_weight[net]
    return km1, cut


def costs(graph: Hypergraph, part: Ids, k: int) -> tuple[int, int]:
    """(km1, cut) of a partition; ``part`` has shape (n,) with blocks 0 … k - 1."""
    km1, cut = _costs(graph.net_start, graph.pins, graph.net_weight, part, k)
    return int(km1), int(cut)


def block_weights(graph: Hypergraph, part: Ids, k: int) -> Ints:
    """Shape (k, 2): accounts and load of each block."""
    total = np.zeros((k, 2), dtype=np.int64)
    for column in (ACCOUNTS, LOAD):
        np.add.at(total[:, column], part, graph.vertex_weight[:, column])
    return total


def imbalances(graph: Hypergraph, part: Ids, k: int) -> tuple[float, float]:
    """How far the heaviest block lies above the mean, in accounts and in load; 0.03 is 3 %."""
    total = block_weights(graph, part, k)
    mean = total.sum(axis=0) / k
    above = [float(total[:, column].max() / mean[column] - 1) if mean[column] else 0.0 for column in (0, 1)]
    return above[ACCOUNTS], above[LOAD]


def limits(graph: Hypergraph, k: int, epsilon: float | None, load_epsilon: float | None = None) -> Ints:
    """Shape (2,): what a block may weigh in accounts and in load.

    None: that weight is not limited. A limit is never below the mean rounded up, nor below the
    heaviest vertex, which no partition could keep.
    """
    total = graph.vertex_weight.sum(axis=0)
    result = np.empty(2, dtype=np.int64)
    for column, slack in ((ACCOUNTS, epsilon), (LOAD, load_epsilon)):
        if slack is None:
            result[column] = total[column]
            continue
        heaviest = int(graph.vertex_weight[:, column].max(initial=0))
        mean_up = -(-int(total[column]) // k)
        result[column] = max(int((1 + slack) * total[column] / k), mean_up, heaviest)
    return result
