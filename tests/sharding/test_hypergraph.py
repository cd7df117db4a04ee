"""Hypergraphs: merging, costs, limits; hMETIS files and their errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.sharding import hmetis
from consensus.sharding.hypergraph import costs, imbalances, limits
from tests.sharding.graphs import Net, graph_of, plain_costs, small

IBM01 = Path(__file__).parents[1] / "data" / "hypergraphs" / "ibm01.hgr"


@given(small(), st.randoms(use_true_random=False))
def test_costs_are_those_of_the_definition(
    case: tuple[int, list[Net], list[int], int], random: object
) -> None:
    vertices, nets, loads, k = case
    part = np.array([random.randrange(k) for _ in range(vertices)], dtype=np.int32)  # type: ignore[attr-defined]
    assert costs(graph_of(vertices, nets, loads), part, k) == plain_costs(nets, part)


@given(small())
def test_equal_nets_are_one_and_pins_are_sorted_and_unique(
    case: tuple[int, list[Net], list[int], int],
) -> None:
    vertices, nets, loads, _k = case
    graph = graph_of(vertices, nets, loads)
    wanted: dict[tuple[int, ...], int] = {}
    for weight, pins in nets:
        unique = tuple(sorted(set(pins)))
        if len(unique) > 1:
            wanted[unique] = wanted.get(unique, 0) + weight
    bounds = zip(graph.net_start[:-1], graph.net_start[1:], strict=True)
    found = [tuple(graph.pins[a:b].tolist()) for a, b in bounds]
    assert dict(zip(found, graph.net_weight.tolist(), strict=True)) == wanted
    assert len(found) == len(wanted)
    for vertex in range(vertices):
        nets_of = graph.nets[graph.vertex_start[vertex] : graph.vertex_start[vertex + 1]]
        assert [net for net in range(len(found)) if vertex in found[net]] == nets_of.tolist()


def test_a_wide_net_is_sorted_like_a_narrow_one() -> None:
    pins = (*range(60, 0, -1), 5, 5, 60)
    graph = graph_of(61, [(2, pins), (3, tuple(range(1, 61)))])
    assert graph.pins.tolist() == list(range(1, 61))
    assert graph.net_weight.tolist() == [5]


def test_a_pin_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="vertex that is not there"):
        graph_of(3, [(1, (0, 3))])


def test_limits_and_imbalances() -> None:
    graph = graph_of(6, [(1, (0, 1))], [10, 0, 0, 10, 10, 30])
    assert limits(graph, 3, 0.03).tolist() == [2, 60]
    assert limits(graph, 3, 0.5, 0.25).tolist() == [3, 30]
    assert imbalances(graph, np.array([0, 0, 0, 1, 2, 2], dtype=np.int32), 3) == (0.5, 1.0)


def test_hmetis_reads_a_known_netlist() -> None:
    graph = hmetis.read(IBM01)
    assert graph.vertices == 12_752
    assert graph.net_weight.sum() == 14_111


@given(small())
def test_hmetis_round_trip(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[int, list[Net], list[int], int]
) -> None:
    vertices, nets, loads, k = case
    graph = graph_of(vertices, nets, loads)
    folder = tmp_path_factory.mktemp("hgr")
    hmetis.write(folder / "a.hgr", graph)
    again = hmetis.read(folder / "a.hgr")
    for name in ("net_start", "pins", "net_weight", "vertex_weight", "vertex_start", "nets"):
        assert np.array_equal(getattr(graph, name), getattr(again, name)), name
    part = np.arange(vertices, dtype=np.int32) % k
    hmetis.write_partition(folder / "a.part", part)
    assert np.array_equal(hmetis.read_partition(folder / "a.part", vertices, k), part)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected the number of nets"),
        ("2\n1 2\n", ":1: expected the number of nets"),
        ("1 2 7\n1 2\n", ":1: format '7' is none of"),
        ("x 2\n1 2\n", ":1: expected a number from 0 to"),
        ("% first\n2 3\n1 2\n", ":3: the file ends before net 2 of 2"),
        ("1 3\n1 4\n", ":2: expected a number from 1 to 3, not '4'"),
        ("1 3\n1 0\n", ":2: expected a number from 1 to 3, not '0'"),
        ("1 3 1\n5\n", ":2: a net without vertices"),
        ("1 3 1\n0 1 2\n", ":2: expected a number from 1 to"),
        ("1 2 10\n1 2\n1\n", ":3: the file ends before the weight of vertex 2"),
        ("1 2 10\n1 2\n1 1\n1\n", ":3: expected one vertex weight"),
        ("1 2\n1 2\n1 2\n", ":3: more lines than"),
        ("1 2\n1 ²\n", ":2: expected a number"),
    ],
)
def test_a_bad_file_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.hgr"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(hmetis.HmetisError, match=f"bad.hgr{message}"):
        hmetis.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\n1\n", "2 blocks for 3"),
        ("0\n1\n2\n", ":3: expected a number"),
        ("0\n1\n1\n1\n", ":4: expected one block"),
    ],
)
def test_a_bad_partition_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.part"
    path.write_text(text, encoding="ascii")
    with pytest.raises(hmetis.HmetisError, match=message):
        hmetis.read_partition(path, 3, 2)
