"""Gap repair: asking others for values they know to be chosen, and answering such questions.

Only chosen values travel here. A value that was merely accepted proves nothing to anybody but a candidate
that hears a whole majority.
"""

from __future__ import annotations

from consensus.codec import CHUNK_BYTES
from consensus.messages.paxos import Chosen, Fetch, SlotValue
from consensus.paxos.acceptor import Acceptor
from consensus.paxos.context import Context
from consensus.types import NodeId, Slot

FETCH_SLOTS_MAX = 1_024


class Catchup:
    """At most one question is out at a time; unanswered, it goes to the next member."""

    def __init__(self, ctx: Context, acceptor: Acceptor) -> None:
        self.ctx = ctx
        self.acceptor = acceptor
        self.target: Slot = 0
        self.source: NodeId = 0
        self.retry_us = 0
        """When the question is asked again, elsewhere; 0 while none is out."""
        self.too_old = False
        """The source's log no longer reaches back to us: its state is needed."""

    def need(self, target: Slot, source: NodeId) -> None:
        """Everything up to ``target`` is chosen, ``source`` says; get what is missing."""
        self.target = max(self.target, target)
        if not self.retry_us:
            self.source = source
            self._ask()

    def on_time(self) -> None:
        """No answer: ask the next member."""
        others = self.ctx.others
        index = others.index(self.source) if self.source in others else -1
        self.source = others[(index + 1) % len(others)]
        self._ask()

    def _ask(self) -> None:
        log = self.acceptor.log
        self.retry_us = 0
        if log.watermark >= self.target or self.too_old or not self.ctx.others:
            return
        first = log.watermark + 1
        last = log.missing_from(first, min(self.target, first + FETCH_SLOTS_MAX - 1))
        self.retry_us = self.ctx.now_us + self.ctx.resend_us
        self.ctx.send((self.source,), Fetch(first, last))

    def on_fetch(self, sender: NodeId, message: Fetch) -> None:
        """Answer with what is chosen here, in slot order, as much as one frame carries."""
        log = self.acceptor.log
        values: list[SlotValue] = []
        size = 0
        last = min(message.last, log.watermark, message.first + FETCH_SLOTS_MAX - 1)
        for slot in range(max(message.first, log.floor + 1), last + 1):
            entry = log.get(slot)
            assert entry is not None and entry.chosen
            size += len(entry.value) + 32
            if size > CHUNK_BYTES and values:
                break
            values.append(SlotValue(slot, entry.ballot, True, entry.value))
        if message.first <= log.floor:
            values = []
        self.ctx.send((sender,), Chosen(log.watermark, log.floor, values))

    def on_chosen(self, sender: NodeId, message: Chosen) -> bool:
        """Take chosen values over. Returns whether the watermark moved."""
        log = self.acceptor.log
        if not message.entries:
            if message.checkpoint > log.watermark and message.watermark > log.watermark:
                self.too_old = True
                self.source = sender
                self.retry_us = 0
            return False
        for value in message.entries:
            self.acceptor.learn(value.slot, value.ballot, value.value)
        if not log.advance():
            return False
        self.acceptor.moved()
        if sender == self.source and self.retry_us:
            self._ask()
        return True

    def settled(self) -> None:
        """The watermark moved by other means: ask only for what is still missing."""
        if self.retry_us and self.acceptor.log.watermark >= self.target:
            self.retry_us = 0

    def stop(self) -> None:
        """Nothing is missing any more, whatever was asked for."""
        self.target = 0
        self.retry_us = 0
        self.too_old = False
