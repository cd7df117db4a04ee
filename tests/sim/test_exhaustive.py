"""Every interleaving of a small world; rules of the core taken away are found, by the shortest way."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.simulation.exhaustive import SCOPES, Found, Scope, Search, State, name_of
from tests.sim import mutations
from tests.sim.mutations import Mutation

STATES_MAX = 60_000
FOUND_IN: list[tuple[Mutation, str]] = [
    (mutations.minority_decides, "quick"),
    (mutations.merged_values_are_chosen, "quick"),
    (mutations.values_of_the_quorum_ignored, "quick"),
    (mutations.commit_by_slot_alone, "quick"),
    (mutations.accepted_is_chosen, "quick"),
    (mutations.accepts_below_the_promise, "quick"),
    (mutations.promise_only_in_memory, "restarts"),
    (mutations.accepted_only_in_memory, "restarts"),
    (mutations.promise_forgotten_at_restart, "restarts"),
    (mutations.lowest_ballot_wins, "ballots"),
]


def test_states_that_differ_in_two_bits_61_apart_are_told_apart() -> None:
    assert name_of((1, 2, 3, 1 << 70 | 1 << 3, 0)) != name_of((1, 2, 3, 1 << 9 | 1 << 64, 0))
    assert hash((1, 2, 3, 1 << 70 | 1 << 3, 0)) == hash((1, 2, 3, 1 << 9 | 1 << 64, 0)), "else it need not be"


def test_nothing_that_can_happen_breaks_an_invariant() -> None:
    found = Search(SCOPES["quick"]).run()
    assert found.violation == "", found.way
    assert found.states > 5_000
    assert found.chosen > 0, "in no state had two ballots chosen a value for one slot"


@pytest.mark.parametrize(
    ("mutation", "scope"), FOUND_IN, ids=[f"{scope}-{mutation.__name__}" for mutation, scope in FOUND_IN]
)
def test_a_rule_taken_away_is_found(mutation: Mutation, scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(found: Found) -> None:
        assert found.states < STATES_MAX, f"{STATES_MAX} states did not show: {mutation.__doc__}"

    mutation(monkeypatch)
    found = Search(SCOPES[scope], told).run()
    assert found.violation
    assert found.way


class Seeing(Search):
    """Remembers which states of the three nodes occur together."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.together: set[tuple[object, ...]] = set()

    def _check(self, state: State, node: int) -> None:
        super()._check(state, node)
        self.together.add(tuple(self._locals[number].key for number in state[:3]))


@pytest.mark.parametrize(
    "scope",
    [
        Scope("an election", 0, (2,)),
        Scope("two slots", 2, ()),
        Scope("a slot and a restart", 1, (), 1),
        Scope("an election and a restart", 0, (2,), 1),
    ],
    ids=lambda scope: scope.name,
)
def test_what_is_left_out_of_states_makes_no_difference(scope: Scope) -> None:
    """Messages that are spent, and votes that decide nothing any more."""
    few, many = Seeing(scope), Seeing(scope, forgetful=False)
    assert few.run().violation == many.run().violation == ""
    assert few.together == many.together
    assert few.found.states < many.found.states
