"""What can be said without an order: money is conserved, acknowledgements stand and stand once."""

from __future__ import annotations

from consensus.checker.history import AUDIT, TRANSFER, History, Operation
from consensus.checker.verdict import Anomaly

INSUFFICIENT = "insufficient_funds"


def check(history: History) -> list[Anomaly]:
    """Conservation on audits, contradicting answers, log positions used twice, unfounded aborts."""
    found: list[Anomaly] = []
    total = sum(seen.balance for seen in history.genesis.values())
    places: dict[tuple[int, int, int], Operation] = {}
    for operation in history.operations:
        for again in operation.contradictions:
            said = f"the second answer, at {again.t_ns} ns: {again.type}, {again.accounts}"
            text = f"{operation.id} was answered twice, differently"
            found.append(Anomaly("doubled_acknowledgement", text, (operation.words(), said)))
        if operation.answer is None:
            continue
        if operation.invoke.op == AUDIT:
            found += _audit(operation, history, total)
        elif operation.invoke.op == TRANSFER and operation.outcome == "ok":
            if sum(operation.deltas.values()):
                text = f"the legs of committed {operation.id} do not sum to zero"
                found.append(Anomaly("money_created", text, (operation.words(),)))
            for place in operation.answer.positions:
                key = (place.cluster, place.slot, place.index)
                other = places.setdefault(key, operation)
                if other is not operation:
                    text = f"cluster {key[0]}, slot {key[1]}, index {key[2]} holds two transfers"
                    found.append(Anomaly("shared_position", text, (other.words(), operation.words())))
        elif operation.invoke.op == TRANSFER and operation.answer.reason == INSUFFICIENT and operation.seen:
            deltas = operation.deltas
            if all(seen.balance + deltas.get(a, 0) >= 0 for a, seen in operation.seen.items()):
                text = f"{operation.id} was aborted for want of money it says was there"
                found.append(Anomaly("wrong_abort", text, (operation.words(),)))
    return found


def _audit(audit: Operation, history: History, total: int) -> list[Anomaly]:
    assert audit.answer is not None
    counted = audit.answer.total
    if counted is None and len(audit.seen) == len(history.genesis):
        counted = sum(seen.balance for seen in audit.seen.values())
    if audit.outcome != "ok" or counted is None or counted == total:
        return []
    kind = "money_created" if counted > total else "money_lost"
    return [Anomaly(kind, f"audit {audit.id} counted {counted}, at the beginning there were {total}")]
