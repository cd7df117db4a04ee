"""A client of the bank that records what it asked and was answered, for :mod:`consensus.checker`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, Literal

from consensus.checker.bank_total import INSUFFICIENT
from consensus.checker.history import GENESIS, READ, TRANSFER, Event, Position, Seen
from consensus.client.bank import BankClient
from consensus.client.results import ABORTED, COMMITTED, REFUSED, UNKNOWN, TxResult
from consensus.types import AccountId

KINDS: Final[dict[str, Literal["ok", "fail", "info"]]] = {
    COMMITTED: "ok",
    ABORTED: "fail",
    REFUSED: "fail",
    UNKNOWN: "info",
}


class Recorder:
    """Records the transfers and reads that go through it; one event loop, one monotonic clock.

    Args:
        client: a started client. Nobody else may change the bank while it is recorded.
        genesis: every account's balance before the first change.
    """

    def __init__(self, client: BankClient, genesis: dict[AccountId, int]) -> None:
        first = {account: Seen(0, balance) for account, balance in genesis.items()}
        self.events = [Event("bank", "ok", GENESIS, GENESIS, time.monotonic_ns(), accounts=first)]
        self.operations = 0
        """Transfers and reads that were begun."""
        self._client = client

    async def transfer(self, sender: AccountId, receiver: AccountId, amount: int) -> TxResult:
        """As :meth:`BankClient.transfer`."""
        self.operations += 1
        tx_id = self._client.new_tx_id()
        name, legs = str(tx_id), [(sender, -amount), (receiver, amount)]
        self.events.append(Event(name, "invoke", TRANSFER, name, time.monotonic_ns(), legs=legs))
        result = await self._client.transfer(sender, receiver, amount, tx_id=tx_id)
        self._answer(name, result)
        return result

    async def read(self, accounts: Sequence[AccountId]) -> bool:
        """A linearizable read of accounts of one cluster; whether it was answered."""
        self.operations += 1
        name = f"read-{self.operations}"
        self.events.append(Event(name, "invoke", READ, name, time.monotonic_ns()))
        values = await self._client.read(accounts)
        answered = values.outcome == "ok"
        seen = {account: Seen(*value) for account, value in values.values.items()} if answered else {}
        kind: Literal["ok", "fail"] = "ok" if answered else "fail"
        self.events.append(
            Event(name, kind, READ, name, time.monotonic_ns(), accounts=seen, reason=values.reason)
        )
        return answered

    def _answer(self, name: str, result: TxResult) -> None:
        tells = result.outcome == COMMITTED or result.reason == INSUFFICIENT
        seen = {a: Seen(v["version"], v["balance"]) for a, v in result.accounts.items()} if tells else {}
        places = [Position(p["cluster"], p["slot"], p["index"]) for p in result.positions[:1]]
        event = Event(
            name,
            KINDS[result.outcome],
            TRANSFER,
            name,
            time.monotonic_ns(),
            positions=places,
            accounts=seen,
            reason=result.reason,
        )
        self.events.append(event)
