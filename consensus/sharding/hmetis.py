"""hMETIS files: a hypergraph (``.hgr``) and a partition (``.part``), the exchange format of partitioners.

First line: nets, vertices and an optional format: 1 nets are weighted, 10 vertices are, 11 both. Then a line
per net (its weight if any, its vertices from 1), then a line per vertex weight. ``%`` begins a comment line.
(Karypis and Kumar, hMETIS 1.5.3 manual, section 4.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from consensus.sharding.compiled import Ids
from consensus.sharding.hypergraph import Hypergraph, build

VERTICES_MAX: Final = 2**31 - 1
WEIGHT_MAX: Final = 2**40
_FORMATS: Final = {
    "": (False, False),
    "0": (False, False),
    "1": (True, False),
    "10": (False, True),
    "11": (True, True),
}


class HmetisError(ValueError):
    """Not a file of this format; the text begins with the file and the line."""


def read(path: Path) -> Hypergraph:
    """Read a hypergraph; a vertex weight counts as load and, like every vertex, as one account.

    Equal nets are merged and nets of one vertex dropped, neither of which changes a cost.

    Raises:
        HmetisError: the text is not as the format says.
        OSError: the file cannot be read.
    """
    rows = _rows(path)
    number, words = next(rows, (1, []))
    if len(words) not in (2, 3):
        raise HmetisError(f"{path}:{number}: expected the number of nets, of vertices and perhaps a format")
    nets, vertices = _numbers(path, number, words[:2], 0, VERTICES_MAX)
    form = words[2] if len(words) == 3 else ""
    if form not in _FORMATS:
        raise HmetisError(f"{path}:{number}: format {form!r:.20} is none of 1, 10, 11")
    weighted_nets, weighted_vertices = _FORMATS[form]
    starts, pins, net_weights = [0], [], []
    for net in range(nets):
        number, words = _next(rows, path, number, f"net {net + 1} of {nets}")
        if weighted_nets:
            net_weights += _numbers(path, number, words[:1], 1, WEIGHT_MAX)
            words = words[1:]
        if not words:
            raise HmetisError(f"{path}:{number}: a net without vertices")
        pins += [pin - 1 for pin in _numbers(path, number, words, 1, vertices)]
        starts.append(len(pins))
    load = np.ones(vertices, dtype=np.int64)
    if weighted_vertices:
        for vertex in range(vertices):
            number, words = _next(rows, path, number, f"the weight of vertex {vertex + 1}")
            if len(words) != 1:
                raise HmetisError(f"{path}:{number}: expected one vertex weight")
            load[vertex] = _numbers(path, number, words, 0, WEIGHT_MAX)[0]
    extra = next(rows, None)
    if extra is not None:
        raise HmetisError(f"{path}:{extra[0]}: more lines than the first line announces")
    weight = np.array(net_weights, dtype=np.int64) if weighted_nets else np.ones(nets, dtype=np.int64)
    return build(
        np.array(starts, dtype=np.int64),
        np.array(pins, dtype=np.int32),
        weight,
        np.column_stack((np.ones(vertices, dtype=np.int64), load)),
    )


def write(path: Path, graph: Hypergraph) -> None:
    """Write a hypergraph with its net weights, and its loads where they are not all 1."""
    load = graph.vertex_weight[:, 1]
    weighted = bool((load != 1).any())
    lines = [f"{graph.net_count} {graph.vertices} {11 if weighted else 1}"]
    for net in range(graph.net_count):
        pins = graph.pins[graph.net_start[net] : graph.net_start[net + 1]]
        lines.append(" ".join([str(graph.net_weight[net]), *(str(pin + 1) for pin in pins)]))
    if weighted:
        lines += [str(weight) for weight in load]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def read_partition(path: Path, vertices: int, k: int) -> Ids:
    """One block from 0 to ``k`` - 1 per line and vertex.

    Raises:
        HmetisError: another number of lines, or a line that is not such a block.
    """
    part = np.empty(vertices, dtype=np.int32)
    count = 0
    for number, words in _rows(path):
        if len(words) != 1 or count == vertices:
            raise HmetisError(f"{path}:{number}: expected one block for each of {vertices} vertices")
        part[count] = _numbers(path, number, words, 0, k - 1)[0]
        count += 1
    if count < vertices:
        raise HmetisError(f"{path}: {count} blocks for {vertices} vertices")
    return part


def write_partition(path: Path, part: Ids) -> None:
    """One block per line."""
    path.write_text("".join(f"{block}\n" for block in part.tolist()), encoding="ascii")


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, words) of each line that is neither empty nor a comment."""
    with path.open(encoding="ascii", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            words = line.split()
            if words and not words[0].startswith("%"):
                yield number, words


def _next(
    rows: Iterator[tuple[int, list[str]]], path: Path, number: int, wanted: str
) -> tuple[int, list[str]]:
    row = next(rows, None)
    if row is None:
        raise HmetisError(f"{path}:{number}: the file ends before {wanted}")
    return row


def _numbers(path: Path, number: int, words: list[str], low: int, high: int) -> list[int]:
    values = []
    for word in words:
        if not (word.isascii() and word.isdecimal() and len(word) < 20 and low <= int(word) <= high):
            raise HmetisError(f"{path}:{number}: expected a number from {low} to {high}, not {word!r:.30}")
        values.append(int(word))
    return values
