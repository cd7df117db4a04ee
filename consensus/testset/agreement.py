"""A set's report held against the oracle."""

from __future__ import annotations

from consensus.testset.oracle import Oracle
from consensus.testset.parser import Command, TestSet
from consensus.testset.report import CommandResult, SetReport

FITS = {
    "committed": ("committed",),
    "aborted": ("aborted",),
    "ok": ("ok",),
    "none": ("aborted", "unknown", "refused"),
}
"""What a client may have been told where the oracle says so. ``none``: anything but committed."""


def for_oracle(command: Command) -> tuple[str, tuple[int, ...]]:
    if command.kind == "transfer":
        return ("transfer", (*command.accounts, command.amount))
    return (command.kind, command.accounts or (command.node,))


def differences(report: SetReport, test_set: TestSet, oracle: Oracle | None = None) -> list[str]:
    """Sentences; empty where outcomes, reads and balances are those of the oracle and nothing was in vain."""
    expected = (oracle or Oracle()).run(test_set.live, map(for_oracle, test_set.commands))
    found = []
    for row, outcome, read in zip(report.commands, expected.outcomes, expected.reads, strict=True):
        if not _fits(row, outcome):
            found.append(f"{row.command}: {row.outcome} ({row.resolved}, {row.reason}), not {outcome}")
        if row.balance != read:
            found.append(f"{row.command}: read {row.balance}, not {read}")
    balances = {
        int(account): {int(node): balance for node, balance in held.items()}
        for account, held in report.balances.items()
    }
    found += [
        f"{account}: {balances.get(account)}, not {expected.balances.get(account)}"
        for account in sorted(balances.keys() | expected.balances.keys())
        if balances.get(account) != expected.balances.get(account)
    ]
    return found + report.notes


def _fits(row: CommandResult, outcome: str) -> bool:
    if row.outcome not in FITS[outcome] or row.resolved == "committed":
        return False
    return outcome != "aborted" or row.reason == "insufficient_funds"
