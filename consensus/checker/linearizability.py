"""The search of Wing and Gong, with Lowe's memory of visited states, for short histories.

Wing, Gong: Testing and Verifying Concurrent Objects, 1993; Lowe: Testing for Linearizability, 2017. The state
after a set of operations does not depend on their order (versions and balances are sums), so the set alone is
remembered. An operation without an answer may take effect at any time after its invocation, or never.
"""

from __future__ import annotations

from typing import Final

from consensus.checker.history import TRANSFER, History, Operation

OPERATIONS_MAX: Final = 40
"""The search is exponential; longer histories are for :mod:`consensus.checker.version_order`."""


def linearizable(history: History) -> bool:
    """Whether some order of the operations explains every answer and keeps to real time.

    Raises:
        ValueError: the history is longer than ``OPERATIONS_MAX``.
    """
    operations = history.operations
    if len(operations) > OPERATIONS_MAX:
        raise ValueError(f"{len(operations)} operations; at most {OPERATIONS_MAX} can be searched")
    needed = sum(1 << at for at, operation in enumerate(operations) if operation.answer is not None)
    begin = {account: (seen.version, seen.balance) for account, seen in history.genesis.items()}
    visited: set[int] = set()
    stack = [(0, begin)]
    while stack:
        done, state = stack.pop()
        if done & needed == needed:
            return True
        if done in visited:
            continue
        visited.add(done)
        waiting = [at for at in range(len(operations)) if not done >> at & 1]
        first_end = min(operations[at].end_ns for at in waiting)
        for at in waiting:
            if operations[at].invoke.t_ns <= first_end:
                after = _apply(operations[at], state)
                if after is not None:
                    stack.append((done | 1 << at, after))
    return False


def _apply(operation: Operation, state: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]] | None:
    """The state afterwards, or None when the answer does not fit ``state``."""
    if operation.invoke.op == TRANSFER and operation.outcome != "fail":
        state = dict(state)
        for account, delta in operation.deltas.items():
            version, balance = state[account]
            if balance + delta < 0:
                return None
            state[account] = (version + 1, balance + delta)
    fits = all(state[a] == (seen.version, seen.balance) for a, seen in operation.seen.items())
    return state if fits else None
