"""The whole check of one history."""

from __future__ import annotations

from collections import Counter

from consensus.checker import bank_total, version_order
from consensus.checker.history import History
from consensus.checker.verdict import Verdict


def judge(history: History) -> Verdict:
    """Everything the checker knows to ask, of ``history``."""
    anomalies = bank_total.check(history) + version_order.check(history)
    outcomes = Counter(operation.outcome for operation in history.operations)
    return Verdict(len(history.operations), dict(outcomes), anomalies)
