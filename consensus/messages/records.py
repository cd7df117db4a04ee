"""Journal records: what a node must find again after a crash. Numbers are never used twice.

A record's position is the count of records appended since the process started.
"""

from __future__ import annotations

from consensus.messages.base import Message
from consensus.types import Ballot, Slot


class SegmentHead(Message, tag=1):
    """First record of each segment: what must survive when older segments are dropped."""

    incarnation: int
    promised: Ballot
    watermark: Slot
    learner: bool


class Promised(Message, tag=2):
    """The acceptor refuses ballots below this one from now on."""

    ballot: Ballot


class AcceptedValue(Message, tag=3):
    """The acceptor accepted ``value`` for ``slot`` in ``ballot`` (and promises that ballot).

    ``watermark`` is what the acceptor knew to be chosen then, so that the watermark needs no record
    of its own while slots flow.
    """

    ballot: Ballot
    slot: Slot
    value: bytes
    watermark: Slot = 0


class ChosenValue(Message, tag=4):
    """A value learnt as chosen, without having accepted it."""

    ballot: Ballot
    slot: Slot
    value: bytes


class Watermark(Message, tag=5):
    """Every slot up to ``slot`` is chosen and stands in the log. Never waited for.

    ``checkpoint`` above 0: a checkpoint at or above that slot is durable, and without it the journal proves
    nothing: a state was taken over from another node, and values below it may have been accepted but never
    chosen.
    """

    slot: Slot
    checkpoint: Slot = 0


class LearnerMark(Message, tag=6):
    """Whether the node is a learner: it lost its disk and does not vote until it has caught up."""

    learner: bool


Record = SegmentHead | Promised | AcceptedValue | ChosenValue | Watermark | LearnerMark
