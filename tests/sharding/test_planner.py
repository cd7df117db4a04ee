"""Plans: what is promised, refused, bounded, explained, and the order of the moves."""

from __future__ import annotations

import numpy as np
import pytest

from consensus.sharding.hypergraph import limits
from consensus.sharding.planner import GAIN_MIN_POINTS, Options, Plan, plan
from consensus.sharding.window import Window, cross_shard_pct, hypergraph, split, window
from consensus.workload.communities import Traffic

ACCOUNTS = 900


def seen(kind: str, count: int, seed: int = 1) -> Window:
    drawn = Traffic(kind, ACCOUNTS, seed).transfers(count)
    return window(ACCOUNTS, drawn.start, drawn.accounts)


def ranges(k: int = 3) -> np.ndarray:
    return (np.arange(ACCOUNTS) * k // ACCOUNTS).astype(np.int32)


@pytest.fixture(scope="module")
def planted() -> tuple[Window, Plan]:
    traffic = seen("planted", 9_000)
    return traffic, plan(traffic, ranges(), Options(3))


def test_a_plan_keeps_its_promise_on_traffic_it_has_not_seen(planted: tuple[Window, Plan]) -> None:
    _traffic, made = planted
    assert made.status == "planned"
    assert made.before.cross_shard_pct > 60
    fresh = Traffic("planted", ACCOUNTS, 1)
    fresh.transfers(9_000)
    later = fresh.transfers(9_000)
    part = ranges()
    for move in made.moves:
        part[move.account] = move.target
    observed = cross_shard_pct(window(ACCOUNTS, later.start, later.accounts), part)
    assert abs(observed - made.predicted.cross_shard_pct) < 1.5
    assert observed < 12


def test_moves_start_where_accounts_are_and_keep_both_limits(planted: tuple[Window, Plan]) -> None:
    traffic, made = planted
    part = ranges()
    assert len({move.account for move in made.moves}) == len(made.moves)
    for move in made.moves:
        assert part[move.account] == move.source != move.target
        part[move.account] = move.target
    assert made.predicted.account_imbalance_pct <= 3.01
    assert made.predicted.load_imbalance_pct <= 3.01
    graph = hypergraph(traffic)
    bound = limits(graph, 3, 0.03, 0.03)
    for block in range(3):
        assert (graph.vertex_weight[part == block].sum(axis=0) <= bound).all()


def test_each_move_says_what_it_saves(planted: tuple[Window, Plan]) -> None:
    traffic, made = planted
    part = ranges()
    pairs = [traffic.accounts[at : at + 2] for at in range(0, len(traffic.accounts), 2)]
    for move in made.moves[:40]:
        partners = [int(part[b if a == move.account else a]) for a, b in pairs if move.account in (a, b)]
        assert (move.here, move.there) == (partners.count(move.source), partners.count(move.target))
        assert move.saved == move.there - move.here
        assert move.load == len(partners)
        part[move.account] = move.target


def test_half_of_a_plan_is_worth_more_than_in_the_order_of_ids(planted: tuple[Window, Plan]) -> None:
    traffic, made = planted
    half = len(made.moves) // 2

    def after(moves: list) -> float:
        part = ranges()
        for move in moves:
            part[move.account] = move.target
        return cross_shard_pct(traffic, part)

    assert after(made.moves[:half]) < after(sorted(made.moves)[:half]) - 3
    assert [row.moves for row in made.table][-1] == len(made.moves)
    assert made.table[-1].cross_shard_pct == pytest.approx(after(made.moves), abs=0.001)


def test_the_same_window_gives_the_same_plan(planted: tuple[Window, Plan]) -> None:
    traffic, made = planted
    assert plan(traffic, ranges(), Options(3)) == made


def test_uniform_traffic_is_refused_though_it_looks_better_on_itself() -> None:
    made = plan(seen("uniform", 5_000), ranges(), Options(3))
    assert (made.status, made.moves) == ("refused", [])
    assert made.reason.startswith("no structure")
    assert made.before.cross_shard_pct - made.predicted.cross_shard_pct < GAIN_MIN_POINTS


def test_a_thin_window_is_refused_with_its_figures() -> None:
    made = plan(seen("planted", 500), ranges(), Options(3))
    assert (made.status, made.moves) == ("refused", [])
    assert made.reason.startswith("window too thin: 500 transactions over ")
    empty = window(ACCOUNTS, np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    assert plan(empty, ranges(), Options(3)).status == "refused"


def test_a_budget_is_never_exceeded_and_more_of_it_brings_more() -> None:
    traffic = seen("planted", 9_000)
    shares = []
    for budget in (0, 100, 300):
        made = plan(traffic, ranges(), Options(3, max_moves=budget, load_epsilon=None))
        assert len(made.moves) <= budget
        part = ranges()
        for move in made.moves:
            part[move.account] = move.target
        shares.append(cross_shard_pct(traffic, part))
    assert shares[0] > shares[1] > shares[2]


def test_locked_accounts_stay() -> None:
    locked = np.arange(ACCOUNTS) % 3 == 0
    made = plan(seen("planted", 9_000), ranges(), Options(3), locked=locked)
    assert made.moves
    assert not any(locked[move.account] for move in made.moves)


def test_a_bank_that_was_just_partitioned_is_left_alone(planted: tuple[Window, Plan]) -> None:
    _traffic, made = planted
    part = ranges()
    for move in made.moves:
        part[move.account] = move.target
    again = plan(seen("planted", 9_000), part, Options(3, flat_only=True))
    assert again.status == "refused"


def test_the_parts_of_a_window_are_the_whole() -> None:
    traffic = seen("multi", 3_000)
    first, second = split(traffic, 0.5, 4)
    assert first.count + second.count == traffic.count
    assert 0.4 < first.count / traffic.count < 0.6
    together = hypergraph(first).vertex_weight[:, 1] + hypergraph(second).vertex_weight[:, 1]
    assert together.tolist() == hypergraph(traffic).vertex_weight[:, 1].tolist()


def test_a_window_that_disagrees_with_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="lengths"):
        window(3, np.array([0, 2]), np.array([0], dtype=np.int32))
    with pytest.raises(ValueError, match="from 0 to 2"):
        window(3, np.array([0, 2]), np.array([0, 3], dtype=np.int32))
