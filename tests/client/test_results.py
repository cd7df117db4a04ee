"""What a client makes of the outcome that a cluster stored."""

from __future__ import annotations

from consensus.client.results import ABORTED, COMMITTED, from_outcome
from consensus.messages.client import Outcome
from consensus.types import Ballot, TxId

TX = TxId(b"0123456789abcdef", 7)
LEGS = (69, -3, 7039, 3)


def outcome(status: int = 0, parts: tuple[int, ...] = ()) -> Outcome:
    return Outcome(status, 12, 0, Ballot(2, 1), (), parts)


def test_a_committed_transaction_names_the_clusters_that_took_part() -> None:
    parts = (3, 40, 2, 7, 1)
    got = from_outcome(TX, (1, 3), LEGS, outcome(parts=parts), 0, 1.0)
    assert (got.outcome, got.clusters) == (COMMITTED, (1, 3))


def test_an_account_that_moved_makes_it_a_matter_of_one_cluster() -> None:
    assert from_outcome(TX, (1, 3), LEGS, outcome(), 0, 1.0).clusters == (1,)


def test_an_account_that_moved_away_adds_a_cluster() -> None:
    assert from_outcome(TX, (1,), LEGS, outcome(parts=(2, 40, 2, 7, 1)), 0, 1.0).clusters == (1, 2)


def test_of_one_that_came_to_nothing_the_client_says_what_it_believed() -> None:
    got = from_outcome(TX, (1, 3), LEGS, outcome(status=6), 0, 1.0)
    assert (got.outcome, got.clusters) == (ABORTED, (1, 3))
