"""The tests can fail: with a rule taken away the simulation finds it, and so does the rule's scenario."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.simulation.config import draw_config
from consensus.simulation.run import play
from tests.sim import mutations, test_defects
from tests.sim.mutations import FIRST_SEED, FOUND_BY_SEEDS, Mutation

pytestmark = pytest.mark.long

STEPS = 3_000
FOUND_BY_SCENARIO: list[tuple[Mutation, Callable[[], None]]] = [
    (mutations.promise_forgotten_at_restart, lambda: test_defects.test_01_02_promise_survives("crash")),
    (mutations.accepts_below_the_promise, lambda: test_defects.test_01_02_promise_survives("fail")),
    (
        mutations.promise_only_in_memory,
        test_defects.test_03_no_accept_slips_in_while_the_promise_is_being_stored,
    ),
    (mutations.minority_decides, test_defects.test_04_majority_is_of_the_configured_members),
    (mutations.leader_stays_without_a_majority, test_defects.test_04_majority_is_of_the_configured_members),
    (
        mutations.merged_values_are_chosen,
        test_defects.test_05_values_of_a_new_view_are_not_chosen_before_a_majority_accepts_them,
    ),
    (
        mutations.commit_by_slot_alone,
        test_defects.test_06_commit_does_not_make_a_value_of_another_ballot_chosen,
    ),
    (mutations.gap_repair_tells_accepted_values, test_defects.test_07_gap_repair_tells_chosen_values_only),
    (
        mutations.gaps_stay,
        test_defects.test_06_commit_does_not_make_a_value_of_another_ballot_chosen,
    ),
    (mutations.reads_without_a_round, test_defects.test_12_partitioned_leader_serves_no_stale_read),
    (
        mutations.reads_join_an_earlier_round,
        test_defects.test_33_acknowledgements_of_earlier_rounds_confirm_no_later_read,
    ),
    (mutations.retries_run_again, test_defects.test_14_retry_after_failover_runs_once),
    (mutations.retries_run_again, test_defects.test_17_unknown_is_made_final_and_stays_what_it_was),
    (mutations.stuck_disk_goes_unnoticed, test_defects.test_31_leader_with_a_stuck_disk_makes_room),
    (mutations.no_prevote, test_defects.test_32_node_that_hears_nothing_deposes_nobody),
    (
        mutations.gaps_above_the_own_watermark,
        test_defects.test_34_candidate_that_is_behind_fills_no_chosen_slot,
    ),
    (
        mutations.truncation_of_unchosen_slots,
        test_defects.test_40_truncation_keeps_the_promise_and_slots_that_are_not_chosen,
    ),
]


@pytest.mark.parametrize("mutation", FOUND_BY_SEEDS, ids=lambda mutation: mutation.__name__)
def test_simulation_finds_it(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation(monkeypatch)
    first = FIRST_SEED.get(mutation, 1)
    for seed in range(first, first + FOUND_BY_SEEDS[mutation]):
        _, violation = play(draw_config(seed), STEPS)
        if violation is not None:
            return
    pytest.fail(f"{FOUND_BY_SEEDS[mutation]} seeds did not find: {mutation.__doc__}")


@pytest.mark.parametrize(
    ("mutation", "scenario"), FOUND_BY_SCENARIO, ids=[mutation.__name__ for mutation, _ in FOUND_BY_SCENARIO]
)
def test_scenario_finds_it(
    mutation: Mutation, scenario: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario()
    mutation(monkeypatch)
    with pytest.raises(AssertionError):
        scenario()
