"""Asking a cluster to make transactions final, for transactions whose answer never came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from consensus import codec
from consensus.client.lane import RESEND_S, Host, Lane
from consensus.client.results import UNKNOWN, TxResult, from_outcome, refusal_name
from consensus.messages.client import Outcome, Refusal, Refused, ResolveRequest
from consensus.types import AccountId, ClusterId, SessionId, TxId

NUMBERS_MAX: Final = 1_000
"""Transactions in one message."""
_FINAL_REFUSALS: Final = (Refusal.SESSION_EXPIRED, Refusal.SESSION_UNKNOWN, Refusal.UNSUPPORTED)

OnResolved = Callable[[TxResult], None]


class PendingResolve(msgspec.Struct, eq=False):
    """A question without an answer; ``on_done`` of everybody who asked it."""

    tx_id: TxId
    clusters: tuple[ClusterId, ...]
    legs: tuple[int, ...]
    on_done: list[OnResolved]
    started_s: float
    deadline_s: float
    resend_s: float = 0.0
    refusal: int = 0


class Resolves:
    """All questions of a client that have no answer yet."""

    def __init__(self, host: Host, lanes: dict[ClusterId, Lane]) -> None:
        self._host = host
        self._lanes = lanes
        self._pending: dict[TxId, PendingResolve] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def submit(self, resolve: PendingResolve) -> None:
        """Ask now, or when the cluster has a leader. A second question about the same joins the first."""
        first = self._pending.setdefault(resolve.tx_id, resolve)
        if first is not resolve:
            first.on_done.extend(resolve.on_done)
            first.deadline_s = max(first.deadline_s, resolve.deadline_s)
            return
        self._host.call_soon(self.send_due)

    def busy_since_s(self) -> dict[ClusterId, float]:
        """When the oldest question without an answer was asked, of each cluster that has one."""
        oldest: dict[ClusterId, float] = {}
        for ask in self._pending.values():
            oldest.setdefault(ask.clusters[0], ask.started_s)
        return oldest

    def send_due(self) -> None:
        """Send what was never sent, or was not answered for a while."""
        now = self._host.now()
        groups: dict[tuple[ClusterId, SessionId], dict[int, AccountId]] = {}
        for ask in self._pending.values():
            if ask.legs:
                # The payer's account may have moved since, and the outcome with it.
                ask.clusters = self._host.clusters_of(ask.legs)
            cluster = ask.clusters[0]
            if ask.resend_s <= now and self._lanes[cluster].leader_link is not None:
                ask.resend_s = now + RESEND_S
                asked = groups.setdefault((cluster, ask.tx_id.session), {})
                asked[ask.tx_id.number] = _payer(ask.legs)
        for (cluster, session), payers in groups.items():
            link = self._lanes[cluster].leader_link
            numbers = list(payers)
            for first in range(0, len(numbers), NUMBERS_MAX):
                some = numbers[first : first + NUMBERS_MAX]
                if link is not None:
                    link.send(codec.encode(ResolveRequest(session, some, tuple([payers[n] for n in some]))))

    def leader_up(self, cluster: ClusterId) -> None:
        """There is a new leader, or a new connection to it: ask it everything."""
        for ask in self._pending.values():
            if ask.clusters[0] == cluster:
                ask.resend_s = 0.0
        if self._pending:
            self.send_due()

    # --- in ---------------------------------------------------------------

    def heard_outcome(self, tx_id: TxId, outcome: Outcome, epoch: int) -> bool:
        """Returns whether somebody had asked."""
        ask = self._pending.pop(tx_id, None)
        if ask is None:
            return False
        latency_ms = (self._host.now() - ask.started_s) * 1e3
        self._answer(ask, from_outcome(tx_id, ask.clusters, ask.legs, outcome, epoch, latency_ms))
        return True

    def heard_refused(self, message: Refused) -> None:
        """``in_doubt`` and the like are asked again; a session that is gone can never be answered."""
        for number in message.numbers:
            ask = self._pending.get(TxId(message.session, number))
            if ask is None:
                continue
            ask.refusal = message.reason
            if message.reason in _FINAL_REFUSALS:
                self._end(ask)
            elif message.reason == Refusal.WRONG_OWNER:
                ask.resend_s = 0.0

    def _end(self, ask: PendingResolve) -> None:
        self._pending.pop(ask.tx_id, None)
        latency_ms = (self._host.now() - ask.started_s) * 1e3
        reason = refusal_name(ask.refusal)
        self._answer(ask, TxResult(ask.tx_id, UNKNOWN, reason, ask.clusters, ask.legs, None, 0, latency_ms))

    def _answer(self, ask: PendingResolve, result: TxResult) -> None:
        for on_done in ask.on_done:
            on_done(result)

    # --- time -------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Every 50 ms: end what is past its deadline, ask again what is unanswered."""
        for ask in [ask for ask in self._pending.values() if now >= ask.deadline_s]:
            self._end(ask)
        self.send_due()

    def reset(self) -> None:
        """A new incarnation forgot every transaction."""
        for ask in list(self._pending.values()):
            self._end(ask)


def _payer(legs: tuple[int, ...]) -> AccountId:
    """The account whose owner keeps the outcome; 0 where the legs are not known."""
    pairs = zip(legs[::2], legs[1::2], strict=True)
    return next((account for account, delta in pairs if delta < 0), legs[0] if legs else 0)
