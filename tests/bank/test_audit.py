"""The money of the whole bank, counted from one cut."""

from __future__ import annotations

from itertools import permutations

import pytest

from consensus.bank.audit import (
    AccountCut,
    AuditReport,
    PreparedPart,
    commits,
    counted,
    from_document,
    report,
    to_document,
    total,
)
from consensus.bank.cross import tx_key, tx_of_key
from consensus.bank.machine import Machine
from consensus.messages.client import Status
from consensus.messages.entries import Decide, DecideRow, Finish, PartDecide, PartPrepare
from consensus.messages.txn import DecisionRow, PrepareRow, TxRow
from consensus.types import TxId
from tests.bank.batches import ALICE, apply, cross, machine_of, pay, transact

MONEY = 3_000


def steps_of_a_commit(machines: dict[int, Machine]) -> list[tuple[int, object]]:
    return [
        (1, cross(0, (1, -30, 2, -10, 11, 25, 21, 15))),
        (2, PartPrepare(1, 0, [PrepareRow(ALICE, 0, 2, 5, (11, 25))])),
        (3, PartPrepare(1, 0, [PrepareRow(ALICE, 0, 2, 5, (21, 15))])),
        (1, Decide([DecideRow(ALICE, 0, Status.COMMITTED)])),
        (3, PartDecide(1, 0, [DecisionRow(ALICE, 0, 2, True)])),
        (2, PartDecide(1, 0, [DecisionRow(ALICE, 0, 2, True)])),
        (1, Finish([TxRow(ALICE, 0, 2)])),
    ]


def test_the_total_is_constant_at_every_step_of_a_transaction() -> None:
    machines = {cluster: machine_of(cluster) for cluster in (1, 2, 3)}
    seen: list[tuple[int, int]] = []
    for cluster, entry in steps_of_a_commit(machines):
        apply(machines[cluster], entry)  # type: ignore[arg-type]
        seen.append(total(report(m.state, c, 1) for c, m in machines.items()))
    assert [money for money, _ in seen] == [MONEY] * 7
    assert [in_flight for _, in_flight in seen] == [0, 0, 0, 40, 25, 0, 0]


def test_the_total_is_constant_over_every_consistent_cut() -> None:
    """A cut in each cluster after a prefix of its steps, whenever no effect is cut off from its cause."""
    prefixes: list[dict[int, AuditReport]] = []
    machines = {cluster: machine_of(cluster) for cluster in (1, 2, 3)}
    prefixes.append({c: report(m.state, c, 1) for c, m in machines.items()})
    for cluster, entry in steps_of_a_commit(machines):
        apply(machines[cluster], entry)  # type: ignore[arg-type]
        prefixes.append({c: report(m.state, c, 1) for c, m in machines.items()})
    # Prepares are steps 1, 2, 3, the commit is 4, its effects 5 (cluster 3) and 6 (cluster 2), the finish 7.
    consistent = [
        cut
        for cut in permutations([*range(8), *range(8), *range(8)], 3)
        if (cut[1] < 2 or cut[0] >= 1)
        and (cut[2] < 3 or cut[0] >= 1)
        and (cut[0] < 4 or (cut[1] >= 2 and cut[2] >= 3))
        and (cut[2] < 5 or cut[0] >= 4)
        and (cut[1] < 6 or cut[0] >= 4)
        and (cut[0] < 7 or (cut[1] >= 6 and cut[2] >= 5))
    ]
    assert len(consistent) > 100
    for cut in set(consistent):
        reports = [prefixes[slot][cluster] for cluster, slot in zip((1, 2, 3), cut, strict=True)]
        assert total(reports)[0] == MONEY, cut


def test_the_accounts_of_a_cut_add_up_at_every_step_of_a_transaction() -> None:
    machines = {cluster: machine_of(cluster) for cluster in (1, 2, 3)}
    for cluster, entry in steps_of_a_commit(machines):
        apply(machines[cluster], entry)  # type: ignore[arg-type]
        reports = {c: report(m.state, c, 1) for c, m in machines.items()}
        committed = commits(reports.values())
        rows = [
            row
            for c, m in machines.items()
            for row in counted(AccountCut(m.state).rows(0, 100)[0], reports[c], committed)
        ]
        assert sum(balance for _, balance, _ in rows) == MONEY
        decided = bool(committed) or (machines[1].state.accounts[1].version == 1)
        assert {number: (balance, version) for number, balance, version in rows if version} == (
            {1: (70, 1), 2: (90, 1), 11: (125, 1), 21: (115, 1)} if decided else {}
        )


def test_accounts_of_a_cut_come_in_pages() -> None:
    cut = AccountCut(machine_of().state)
    first, after = cut.rows(0, 6)
    second, end = cut.rows(after or 0, 6)
    assert ([row[0] for row in first], after) == ([1, 2, 3, 4, 5, 6], 6)
    assert ([row[0] for row in second], end) == ([7, 8, 9, 10], None)
    assert cut.rows(10, 6) == ([], None)


def test_a_report_comes_back_from_its_document() -> None:
    machines = {cluster: machine_of(cluster) for cluster in (1, 2, 3)}
    for cluster, entry in steps_of_a_commit(machines)[:4]:
        apply(machines[cluster], entry)  # type: ignore[arg-type]
        for c, machine in machines.items():
            made = report(machine.state, c, 1)
            assert from_document(to_document(made)) == made


def test_money_that_is_missing_shows() -> None:
    machine = machine_of()
    apply(machine, transact(0, pay(1, 2, 5)))
    assert total([report(machine.state, 1, 1)]) == (1_000, 0)
    machine.state.accounts[2].balance -= 1
    assert total([report(machine.state, 1, 1)]) == (999, 0)


def test_a_commit_counts_for_its_own_coordinator_only() -> None:
    tx = tx_key(TxId(ALICE, 4))
    part = AuditReport(1, 2, 9, 10, 1_025, [PreparedPart(tx, 1, 25)], [])
    assert total([part, AuditReport(1, 1, 9, 10, 975, [], [tx])]) == (2_000, 25)
    assert total([part, AuditReport(1, 3, 9, 10, 975, [], [tx])]) == (1_975, 0)


@pytest.mark.parametrize("number", [0, 1, 255, 2**64 - 1])
def test_keys_of_transactions_come_back(number: int) -> None:
    assert tx_of_key(tx_key(TxId(ALICE, number))) == TxId(ALICE, number)
