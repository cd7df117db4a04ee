"""manage.py partition: its JSON, its files, its errors; the portfolio behind it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consensus.cli import partition_command
from consensus.sharding import hmetis
from consensus.sharding.hypergraph import costs, limits
from consensus.sharding.labels import assignment, matched
from consensus.sharding.portfolio import partition
from tests.sharding.graphs import communities, graph_of, least_km1


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    partition_command.add_arguments(parser)
    return partition_command.main(vars(parser.parse_args(words)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    vertices, nets = communities(12, 20, 80, 60, seed=4)
    hmetis.write(tmp_path / "a.hgr", graph_of(vertices, nets))
    return tmp_path / "a.hgr"


def test_json_and_file_agree_and_a_seed_repeats(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = file.with_suffix(".part")
    documents: list[Any] = []
    for _ in range(2):
        assert run(str(file), "--k", "3", "--seed", "7", "--output", str(out), "--json") == 0
        documents.append(json.loads(capsys.readouterr().out))
    graph = hmetis.read(file)
    part = hmetis.read_partition(out, graph.vertices, 3)
    first = documents[0]
    assert (first["km1"], first["cut"]) == costs(graph, part, 3)
    assert first["sizes"] == np.bincount(part, minlength=3).tolist()
    assert first["imbalance"] <= 0.03
    assert {key: first[key] for key in ("km1", "sizes")} == {
        key: documents[1][key] for key in ("km1", "sizes")
    }
    assert first["km1"] <= 60


def test_a_start_is_never_worsened(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = hmetis.read(file)
    start = file.with_suffix(".start")
    hmetis.write_partition(start, (np.arange(graph.vertices) % 4).astype(np.int32))
    assert run(str(file), "--k", "4", "--from", str(start), "--json") == 0
    before = costs(graph, hmetis.read_partition(start, graph.vertices, 4), 4)[0]
    assert json.loads(capsys.readouterr().out)["km1"] < before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--k", "1"], "--k: must be"),
        (["--k", "3", "--epsilon", "-1"], "--epsilon: must be"),
        (["--k", "3", "--seed", "-1"], "--seed: must be"),
        (["--k", "3", "--from", "/nowhere"], "/nowhere: No such file"),
    ],
)
def test_usage_errors(file: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(file), *words) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_the_portfolio_finds_the_least_cost_of_tiny_graphs() -> None:
    found, least = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        nets = [(int(rng.integers(1, 9)), tuple(rng.integers(0, 8, 3).tolist())) for _ in range(14)]
        graph = graph_of(8, nets)
        limit = limits(graph, 2, 0.25)
        best = least_km1(8, nets, 2, (int(limit[0]), 8), [1] * 8)
        result = partition(graph, 2, limit, seed)
        assert best is not None
        assert result.overload == 0
        assert result.km1 >= best
        found.append(result.km1)
        least.append(best)
    assert sum(found) <= 1.02 * sum(least)


def test_labels_keep_most_accounts_in_place() -> None:
    graph = graph_of(6, [(1, (0, 1))])
    current = np.array([0, 0, 1, 1, 2, 2], dtype=np.int32)
    part = np.array([2, 2, 0, 0, 1, 0], dtype=np.int32)
    assert matched(graph, part, current, 3).tolist() == [0, 0, 1, 1, 2, 1]
    rng = np.random.default_rng(3)
    cost = rng.integers(-50, 50, (6, 6))
    chosen = assignment(cost)
    assert sorted(chosen) == list(range(6))
    swaps = [(a, b) for a in range(6) for b in range(a)]
    for a, b in swaps:
        assert cost[a, chosen[a]] + cost[b, chosen[b]] <= cost[a, chosen[b]] + cost[b, chosen[a]]
