"""SmallBank: six kinds of transaction on customers with a checking and a savings account.

After Alomari, Cahill, Fekete and Röhm, "The Cost of Serializability on Platforms That Use Snapshot Isolation"
(ICDE 2008), with the shares of the H-Store version. Two things are this bank's own: a deposit or cheque has
a second leg at a teller of the customer's cluster, because money is never made; and no balance is ever below
zero, so a cheque that exceeds the checking account takes the rest from savings, and one that exceeds both
costs its penalty where that can be paid.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from consensus.types import AccountId, ClusterId
from consensus.workload.generator import REDRAWS_MAX, Mix
from consensus.workload.operations import Branch, Operation, Seen, Write, unchanged

WIDTH: Final = 2
"""Accounts of a customer: checking, then savings."""
SHARES: Final = {
    "balance": 15,
    "deposit_checking": 15,
    "transact_savings": 15,
    "amalgamate": 15,
    "write_check": 15,
    "send_payment": 25,
}
"""Percent of the operations."""
PENALTY: Final = 1


class SmallBank:
    """Draws the operations of customers of one cluster.

    Args:
        everywhere: the branch of each cluster.
        cluster: where the customers are who begin an operation.
        mix: its ``cross_pct`` is the share of payments and amalgamations whose second customer is with
            another cluster; ``amount_max`` the greatest amount.
        seed: the same seed draws the same sequence.
    """

    def __init__(self, everywhere: dict[ClusterId, Branch], cluster: ClusterId, mix: Mix, seed: str) -> None:
        self._own = everywhere[cluster]
        self._others = [branch for other, branch in everywhere.items() if other != cluster]
        self._draw = random.Random(f"{seed}/{cluster}").random
        self._cross_share = mix.cross_pct / 100
        self._amount_max = mix.amount_max
        self._sums = list(accumulate(SHARES.values()))
        self._kinds = (
            self._balance, self._deposit, self._savings, self._amalgamate, self._cheque, self._payment,
        )  # fmt: skip

    def operation(self) -> Operation:
        """The next one."""
        at = bisect_right(self._sums, self._draw() * self._sums[-1])
        return self._kinds[at]()

    def _balance(self) -> Operation:
        checking = self._checking(self._own)
        return Operation("balance", (checking, checking + 1))

    def _deposit(self) -> Operation:
        amount = self._amount()
        checking = self._checking(self._own)
        return Operation("deposit_checking", legs=(self._vault(), -amount, checking, amount))

    def _savings(self) -> Operation:
        amount = self._amount()
        savings = self._checking(self._own) + 1
        vault = self._vault()
        deposited = self._draw() < 0.5
        legs = (vault, -amount, savings, amount) if deposited else (savings, -amount, vault, amount)
        return Operation("transact_savings", legs=legs)

    def _amalgamate(self) -> Operation:
        checking, other = self._two()
        accounts = (checking, checking + 1)

        def decide(seen: Sequence[Seen]) -> Write:
            (_, current), (_, saved) = seen
            legs = (checking, -current, checking + 1, -saved, other, current + saved)
            return Write(legs, unchanged(accounts, seen))

        return Operation("amalgamate", accounts, decide=decide)

    def _cheque(self) -> Operation:
        amount = self._amount()
        checking = self._checking(self._own)
        vault = self._vault()

        def decide(seen: Sequence[Seen]) -> Write:
            return cheque(checking, vault, amount, seen)

        return Operation("write_check", (checking, checking + 1), decide=decide)

    def _payment(self) -> Operation:
        amount = self._amount()
        payer, payee = self._two()
        return Operation("send_payment", legs=(payer, -amount, payee, amount))

    # --- drawing -----------------------------------------------------------------------

    def _amount(self) -> int:
        return 1 + int(self._draw() * self._amount_max)

    def _vault(self) -> AccountId:
        return self._own.vault + int(self._draw() * self._own.vaults)

    def _checking(self, branch: Branch) -> AccountId:
        return branch.first + WIDTH * branch.pick(self._draw)

    def _two(self) -> tuple[AccountId, AccountId]:
        """Checking accounts of two different customers."""
        first = self._checking(self._own)
        if self._cross_share and self._draw() < self._cross_share:
            return first, self._checking(self._others[int(self._draw() * len(self._others))])
        for _ in range(REDRAWS_MAX):
            second = self._checking(self._own)
            if second != first:
                return first, second
        index = (first - self._own.first) // WIDTH
        return first, self._own.first + WIDTH * ((index + 1) % self._own.customers)


def cheque(checking: AccountId, vault: AccountId, amount: int, seen: Sequence[Seen]) -> Write:
    """Pay ``amount`` in at ``vault``: from checking, the rest from savings, of which ``seen`` tells.

    One that exceeds both costs the penalty. A customer with nothing at all asks for the penalty all the same:
    that aborts for want of money, and so the log knows of it.
    """
    (_, current), (_, saved) = seen
    due = amount if current + saved >= amount else PENALTY
    rest = min(max(due - current, 0), saved)
    legs = (checking, rest - due, checking + 1, -rest, vault, due)
    return Write(legs, unchanged((checking, checking + 1), seen))
