"""FM: gains are exact, passes never worsen, limits, budget and locks hold, rollback restores everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.sharding.buckets import BUCKETS, bucket_of
from consensus.sharding.compiled import seed_state
from consensus.sharding.fm import fm_pass, rebalance
from consensus.sharding.gains import fresh, gain_of, overload, rows, terms
from consensus.sharding.hypergraph import block_weights, costs, limits
from consensus.sharding.refine import Stall, refine
from tests.sharding.graphs import Net, communities, graph_of, small

Case = tuple[int, list[Net], list[int], int]


@st.composite
def started(draw: st.DrawFn) -> tuple[Case, list[int], int]:
    """A small case, a start for it, a seed."""
    case = draw(small())
    vertices, _nets, _loads, k = case
    start = draw(st.lists(st.integers(0, k - 1), min_size=vertices, max_size=vertices))
    return case, start, draw(st.integers(0, 9))


@given(started(), st.integers(0, 3))
def test_the_kept_prefix_gains_what_it_says_and_leaves_exact_gains(
    drawn: tuple[Case, list[int], int], price: int
) -> None:
    (vertices, nets, loads, k), start, seed = drawn
    graph = graph_of(vertices, nets, loads)
    part = np.array(start, dtype=np.int32)
    pull = np.zeros((vertices, k), dtype=np.int64)
    pull[np.arange(vertices), part] = price
    term = terms(limits(graph, k, 1.0, 1.0), k, pull=pull)
    state = fresh(rows(graph), term, part.copy(), k)
    before, above = costs(graph, part, k)[0], overload(state, term)
    moves, gain = fm_pass(rows(graph), state, term, seed_state(seed), 1000)
    away = int((state.part != part).sum())
    assert costs(graph, state.part, k)[0] + price * away == before - gain
    assert gain == moves[:, 3].sum()
    assert overload(state, term) <= above
    if above == 0:
        assert gain >= 0
    again = fresh(rows(graph), term, state.part.copy(), k)
    for name in ("pins_in", "joined", "benefit", "degree", "block"):
        assert np.array_equal(getattr(state, name), getattr(again, name)), name
    replayed = part.copy()
    for vertex, source, target, _gain in moves.tolist():
        assert replayed[vertex] == source
        replayed[vertex] = target
    assert np.array_equal(replayed, state.part)


@given(started())
def test_a_gain_is_the_difference_of_costs(drawn: tuple[Case, list[int], int]) -> None:
    (vertices, nets, loads, k), start, _seed = drawn
    graph = graph_of(vertices, nets, loads)
    part = np.array(start, dtype=np.int32)
    term = terms(limits(graph, k, 1.0), k)
    state = fresh(rows(graph), term, part.copy(), k)
    for vertex in range(vertices):
        for target in range(k):
            if target != part[vertex]:
                other = part.copy()
                other[vertex] = target
                saved = costs(graph, part, k)[0] - costs(graph, other, k)[0]
                assert gain_of(state, term, vertex, target) == saved


@given(started(), st.integers(0, 6), st.data())
def test_budget_locks_and_limits_hold(
    drawn: tuple[Case, list[int], int], budget: int, data: st.DataObject
) -> None:
    (vertices, nets, loads, k), start, seed = drawn
    graph = graph_of(vertices, nets, loads)
    part = np.array(start, dtype=np.int32)
    locked = np.array(data.draw(st.lists(st.booleans(), min_size=vertices, max_size=vertices)))
    limit = limits(graph, k, 0.5, 0.5)
    term = terms(limit, k, home=part.copy(), budget=budget, locked=locked)
    result, _gain, above = refine(rows(graph), part, k, term, seed_state(seed))
    assert (result != part).sum() <= budget
    assert np.array_equal(result[locked], part[locked])
    start_above = np.maximum(block_weights(graph, part, k) - limit, 0)
    result_above = np.maximum(block_weights(graph, result, k) - limit, 0)
    assert (result_above / limit.clip(1)).sum() == pytest.approx(above)
    assert above <= (start_above / limit.clip(1)).sum() + 1e-12


def test_an_overloaded_start_is_brought_below_both_limits() -> None:
    vertices, nets = communities(12, 10, 40, 60, seed=1)
    loads = [1 + vertex % 7 for vertex in range(vertices)]
    graph = graph_of(vertices, nets, loads)
    part = np.zeros(vertices, dtype=np.int32)
    term = terms(limits(graph, 3, 0.05, 0.05), 3)
    state = fresh(rows(graph), term, part, 3)
    assert overload(state, term) > 0
    moves = rebalance(rows(graph), state, term, seed_state(0))
    assert overload(state, term) == 0
    assert len(moves) < 2 * vertices


def test_the_same_seed_gives_the_same_partition_and_another_seed_another() -> None:
    vertices, nets = communities(20, 10, 30, 200, seed=2)
    graph = graph_of(vertices, nets)
    part = np.arange(vertices, dtype=np.int32) % 4
    term = terms(limits(graph, 4, 0.03), 4)
    results = [refine(rows(graph), part, 4, term, seed_state(seed))[0].tolist() for seed in (5, 5, 6)]
    assert results[0] == results[1]
    assert results[0] != results[2]


def passes_of(stall: Stall) -> list[dict[str, Any]]:
    """What is told of the passes over 1,200 vertices in communities that lie across three blocks."""
    vertices, nets = communities(40, 30, 90, 900, 3)
    graph, part = graph_of(vertices, nets), np.arange(vertices, dtype=np.int32) % 3
    term = terms(limits(graph, 3, 0.05, 0.05), 3)
    told: list[dict[str, Any]] = []
    refine(rows(graph), part, 3, term, seed_state(1), stall=stall, observer=told.append)
    return told


def test_passes_end_when_one_wins_little_of_what_the_first_won() -> None:
    def gains(least: float) -> list[int]:
        return [event["gain"] for event in passes_of(Stall(least=least))]

    patient = gains(0.0)
    assert len(patient) > 2 and patient[-1] > 0
    cut = max(patient[1:]) / patient[0]
    assert gains(cut) == patient[:2]


def test_a_pass_that_moves_few_is_the_last() -> None:
    def moved(few: float) -> list[int]:
        told = passes_of(Stall(few=few))
        by_pass = {event["pass"]: 0 for event in told}
        for event in told:
            by_pass[event["pass"]] += len(event["moves"])
        return list(by_pass.values())

    patient = moved(0.0)
    assert len(patient) > 2 and patient[1] < patient[0]
    assert moved(patient[1] / 1_200) == patient[:2]


def test_the_observer_sees_every_move_and_changes_nothing() -> None:
    vertices, nets = communities(20, 10, 30, 200, seed=3)
    graph = graph_of(vertices, nets)
    part = np.arange(vertices, dtype=np.int32) % 4
    term = terms(limits(graph, 4, 0.03), 4)
    events: list[dict[str, Any]] = []
    watched, gain, _above = refine(rows(graph), part, 4, term, seed_state(5), observer=events.append)
    alone, _gain, _above = refine(rows(graph), part, 4, term, seed_state(5))
    assert watched.tolist() == alone.tolist()
    replayed, total = part.copy(), 0
    for event in events:
        for vertex, source, target, won in event["moves"]:
            assert replayed[vertex] == source
            replayed[vertex] = target
            total += won
    assert replayed.tolist() == watched.tolist()
    assert total == gain


@settings(max_examples=300)
@given(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))
def test_buckets_keep_the_order_of_gains(a: int, b: int) -> None:
    low, high = sorted((a, b))
    assert 0 <= bucket_of(low) <= bucket_of(high) < BUCKETS


def test_small_gains_have_buckets_of_their_own() -> None:
    assert len({bucket_of(gain) for gain in range(-1000, 1001)}) == 2001
