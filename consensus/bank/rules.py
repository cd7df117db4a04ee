"""What a transaction must look like, and what its accounts must hold, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping

from consensus.bank.state import Account
from consensus.messages.client import Status
from consensus.messages.entries import Condition
from consensus.types import AMOUNT_MAX, BALANCE_MAX, LEGS_MAX, LEGS_MIN, AccountId


def well_formed(legs: tuple[int, ...], conditions: tuple[int, ...]) -> bool:
    """Whether the shape of a transaction is right, whatever the accounts hold.

    2–16 legs on distinct accounts, deltas within ±AMOUNT_MAX that sum to zero, conditions in triples of known
    kind on accounts of the legs.
    """
    size = len(legs)
    if size == 4 and not conditions:
        payer, debit, payee, credit = legs
        return debit + credit == 0 and payer != payee and -AMOUNT_MAX <= debit <= AMOUNT_MAX
    if size % 2 or not LEGS_MIN <= size // 2 <= LEGS_MAX:
        return False
    ids = legs[::2]
    deltas = legs[1::2]
    if sum(deltas) or len(set(ids)) != len(ids) or max(deltas) > AMOUNT_MAX or min(deltas) < -AMOUNT_MAX:
        return False
    if conditions:
        if len(conditions) % 3 or len(conditions) > 3 * LEGS_MAX:
            return False
        for i in range(0, len(conditions), 3):
            if conditions[i] not in ids:
                return False
            if conditions[i + 1] not in (Condition.BALANCE_AT_LEAST, Condition.VERSION_EQUALS):
                return False
    return True


def judge(
    accounts: Mapping[AccountId, Account],
    held: list[Account],
    legs: tuple[int, ...],
    conditions: tuple[int, ...],
) -> int:
    """COMMITTED when every leg of ``held`` has the money and every condition holds, else the reason."""
    if len(held) == 1 and not conditions:
        # One leg of a transfer across clusters: most of what is judged.
        left = held[0].balance + legs[1]
        return 0 if 0 <= left <= BALANCE_MAX else Status.INSUFFICIENT_FUNDS if left < 0 else Status.INVALID
    for account, delta in zip(held, legs[1::2], strict=True):
        balance = account.balance + delta
        if balance < 0:
            return Status.INSUFFICIENT_FUNDS
        if balance > BALANCE_MAX:
            return Status.INVALID
    for i in range(0, len(conditions), 3):
        account = accounts[conditions[i]]
        kind, value = conditions[i + 1], conditions[i + 2]
        if kind == Condition.BALANCE_AT_LEAST and account.balance < value:
            return Status.INSUFFICIENT_FUNDS
        if kind == Condition.VERSION_EQUALS and account.version != value:
            return Status.CONDITION_FAILED
    return Status.COMMITTED


def first_debited(legs: tuple[int, ...]) -> AccountId:
    """The account whose owner coordinates and keeps the outcome: of the first debited leg, else the first."""
    if legs[1] < 0:
        return legs[0]
    return next((a for a, delta in zip(legs[::2], legs[1::2], strict=True) if delta < 0), legs[0])
