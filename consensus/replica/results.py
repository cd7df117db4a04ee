"""What a leader does with what an applied batch did: answers, votes, decisions, acknowledgements, turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.bank.machine import Applied, Result
from consensus.bank.movement import Arrived, Left, Taken
from consensus.bank.twophase import CrossPrepared, Decided, PartDecided, PartPrepared
from consensus.messages.entries import Batch, CrossPrepare, Item, PartPrepare, Transact
from consensus.types import AccountId, SessionId, TxId

if TYPE_CHECKING:
    from consensus.replica.door import Replica


class Results:
    """Called on the leader only; whatever it does is volatile."""

    def __init__(self, replica: Replica) -> None:
        self._r = replica

    def handle(self, batch: Batch, results: list[Result]) -> None:
        r = self._r
        if not r.established:
            for result in results:
                if type(result) is Applied:
                    r.admission.answer(r.machine.state, result, None)
            return
        freed: list[AccountId] = []
        if not r.waiting.idle():
            self._unclaim(batch, freed)
        for result in results:
            if type(result) is Applied:
                items = _items(batch, result.session) if result.refused else None
                r.admission.answer(r.machine.state, result, items)
            elif isinstance(result, CrossPrepared):
                for tx in result.prepared:
                    r.coordinator.on_prepared(tx)
                for session, item in result.locked:
                    r.admission.again(r.machine.state, session, item)
            elif isinstance(result, PartPrepared):
                r.participant.on_prepared(result)
            elif isinstance(result, Decided):
                r.coordinator.on_decided(result.decided)
                freed.extend(result.freed)
            elif isinstance(result, PartDecided):
                r.participant.on_decided(result)
                freed.extend(result.freed)
            elif isinstance(result, Taken):
                r.source.on_taken(result)
            elif isinstance(result, Left):
                r.source.on_left(result)
                freed.extend(result.accounts)
            elif isinstance(result, Arrived):
                r.destination.on_arrived(result)
        if freed:
            r.freed(freed)

    def _unclaim(self, batch: Batch, freed: list[AccountId]) -> None:
        """Prepare entries are applied: what they locked stands in the state now, the rest is free again.

        A transaction that its prepare entry did not prepare is asked for no longer, whatever the reason, and
        who has been asked is told.
        """
        waiting = self._r.waiting
        coordinator = self._r.coordinator
        prepared = self._r.machine.state.cross.prepared
        for entry in batch.entries:
            if type(entry) is CrossPrepare:
                for item in entry.items:
                    tx = TxId(entry.session, item.number)
                    waiting.unclaim(item.legs[::2], tx)
                    held = prepared.get(tx)
                    if held is None or not held.coordinates:
                        coordinator.drop(tx)
                        coordinator.take_back(tx, item)
                    freed.extend(item.legs[::2])
            elif type(entry) is PartPrepare:
                for row in entry.rows:
                    waiting.unclaim(row.legs[::2], TxId(row.session, row.number))
                    freed.extend(row.legs[::2])


def _items(batch: Batch, session: SessionId) -> dict[int, Item]:
    """The transactions of ``session`` in a batch, by number."""
    return {
        item.number: item
        for entry in batch.entries
        if type(entry) is Transact and entry.session == session
        for item in entry.items
    }
