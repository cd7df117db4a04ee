"""Messages that cannot matter any more: what is left of them is no part of a state of the small world.

A message is spent when its arrival changes nothing at its target and sends nothing that anybody waits for,
now and in every state that can follow. That rests on promises, watermarks and acceptances never going back,
which the search checks for itself. ``tests/sim/test_exhaustive.py`` compares searches with and without.
"""

from __future__ import annotations

from typing import Final

from consensus.messages.base import Message
from consensus.messages.paxos import (
    Accept,
    Accepted,
    Chosen,
    Commit,
    Fetch,
    Heartbeat,
    NewViewNotice,
    Prepare,
    Promise,
)
from consensus.simulation.small import Local
from consensus.types import NodeId, Slot


def spent(source: NodeId, message: Message, target: Local, again: bool) -> bool:
    """Whether ``message`` of ``source`` has nothing to say to ``target`` any more.

    ``again``: the target may start again, and then does not know any more what was chosen.
    """
    match message:
        case Accept():
            taken = target.promised == message.ballot == target.accepted.get(message.slot)
            return message.ballot < target.promised or (taken and _known(message.watermark, target, again))
        case Commit() | Heartbeat() | NewViewNotice():
            adopted = message.ballot == target.promised and _known(message.watermark, target, again)
            return message.ballot < target.promised or adopted
        case Prepare():
            return message.ballot < target.promised
        case Promise():
            return message.ballot != target.preparing or source in target.promises
        case Accepted():
            counted = target.counting.get(message.slot)
            return message.ballot != target.ballot or counted is None or source in counted
        case Chosen():
            known = all(entry.slot in target.chosen for entry in message.entries)
            return known and not again and message.checkpoint <= target.watermark
    return False


def unwanted(message: Message, target: Local, sender: Local, again: bool) -> bool:
    """Whether ``sender`` of a question has no use for an answer any more, and asking does nothing else."""
    match message:
        case Fetch():
            return message.last <= sender.watermark and not again
        case Prepare():
            return sender.preparing != message.ballot and target.promised == message.ballot
    return False


QUESTIONS: Final = (Fetch, Prepare)


def _known(watermark: Slot, target: Local, again: bool) -> bool:
    return watermark <= (0 if again else target.watermark)
