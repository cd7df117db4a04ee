"""The oracle itself, on cases that can be checked by hand."""

from __future__ import annotations

from consensus.testset.oracle import Oracle

ALL = range(1, 10)


def test_money_and_majority() -> None:
    told = Oracle().run(
        ALL,
        [
            ("transfer", (1, 2, 10)),
            ("transfer", (1, 2, 1)),
            ("read", (2,)),
            ("fail", (1,)),
            ("transfer", (2, 1, 5)),
            ("fail", (2,)),
            ("transfer", (2, 1, 5)),
            ("read", (2,)),
            ("recover", (1,)),
            ("read", (2,)),
        ],
    )
    assert told.outcomes == [
        "committed", "aborted", "ok", "ok", "committed", "ok", "none", "none", "ok", "ok",
    ]  # fmt: skip
    assert told.reads == [None, None, 20, None, None, None, None, None, None, 15]
    assert told.balances == {1: {1: 5, 2: 5, 3: 5}, 2: {1: 15, 2: 15, 3: 15}}


def test_a_failed_node_keeps_what_it_had() -> None:
    told = Oracle().run([1, 2, 4, 5, 6, 7, 8, 9], [("transfer", (1, 2, 1))])
    assert told.balances == {1: {1: 9, 2: 9, 3: 10}, 2: {1: 11, 2: 11, 3: 10}}


def test_across_clusters_both_majorities_count() -> None:
    told = Oracle().run(
        [1, 2, 3, 4, 5, 7, 8],
        [
            ("transfer", (1, 3001, 4)),
            ("transfer", (1, 3001, 7)),
            ("fail", (4,)),
            ("transfer", (1, 3001, 1)),
            ("transfer", (3001, 6001, 1)),
            ("transfer", (1, 6001, 1)),
        ],
    )
    assert told.outcomes == ["committed", "aborted", "ok", "none", "none", "committed"]
    assert told.balances == {
        1: {1: 5, 2: 5, 3: 5},
        3001: {4: 14, 5: 14, 6: 10},
        6001: {7: 11, 8: 11, 9: 10},
    }
