"""A follower asks its leader up to where it must have applied the log to answer linearizable reads.

One question is under way at a time; reads that come meanwhile gather for the next. The leader treats it as a
read of its own (:mod:`consensus.paxos.readindex`) and answers with the index instead of values. A question is
sent after the reads it stands for have come, so any answer to it, late or repeated, is good for them; its
nonce is of this process alone, so no answer to an earlier one is.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

from consensus.messages.paxos import IndexQuery, IndexReply
from consensus.paxos.context import Context
from consensus.types import NodeId, Slot

FAR_US: Final = 1 << 62


class Asker(NamedTuple):
    """A read, and when it gives up (own time)."""

    until_us: int
    read: Any


class IndexQueries:
    """Reads of one follower that wait for an index, or for the slots up to it."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._next_nonce = ctx.life + 1
        self._nonce = 0
        """Of the question under way; 0: none is."""
        self._sent_us = 0
        self._waiting: list[Asker] = []
        self._asked: list[Asker] = []
        self._known: deque[tuple[Slot, list[Asker]]] = deque()
        self._until_us = FAR_US
        """Not later than when the first of them gives up."""

    def __len__(self) -> int:
        return len(self._waiting) + len(self._asked) + sum(len(reads) for _, reads in self._known)

    def __bool__(self) -> bool:
        return bool(self._waiting or self._asked or self._known)

    def add(self, read: Any, until_us: int) -> None:
        """A read came; :meth:`ask` sends the question."""
        self._waiting.append(Asker(until_us, read))
        self._until_us = min(self._until_us, until_us)

    def ask(self, leader: NodeId) -> None:
        """Send a question for what waits, unless one is under way; send that again when it is due."""
        ctx = self._ctx
        if self._nonce:
            if not self._asked:
                self._nonce = 0  # all have given up
            elif ctx.now_us - self._sent_us < ctx.resend_us:
                return
        if not self._nonce:
            if not self._waiting:
                return
            self._nonce = self._next_nonce
            self._next_nonce += 1
            self._asked, self._waiting = self._waiting, []
        self._sent_us = ctx.now_us
        if leader and leader != ctx.me:
            ctx.send((leader,), IndexQuery(self._nonce))

    def on_reply(self, message: IndexReply) -> bool:
        """Returns whether it answers the question under way."""
        if message.nonce != self._nonce or not self._nonce:
            return False
        self._nonce = 0
        self._known.append((message.index, self._asked))
        self._asked = []
        return True

    def ready(self, applied: Slot) -> list[Any]:
        """Reads whose index is applied."""
        done: list[Any] = []
        while self._known and self._known[0][0] <= applied:
            done.extend(asker.read for asker in self._known.popleft()[1])
        return done

    def expired(self) -> list[Any]:
        """Reads whose time is over."""
        now = self._ctx.now_us
        if now < self._until_us:
            return []
        over: list[Any] = []
        for reads in (self._waiting, self._asked, *(reads for _, reads in self._known)):
            over.extend(asker.read for asker in reads if asker.until_us <= now)
            reads[:] = [asker for asker in reads if asker.until_us > now]
        self._known = deque((index, reads) for index, reads in self._known if reads)
        left = [self._waiting, self._asked, *(reads for _, reads in self._known)]
        self._until_us = min((asker.until_us for reads in left for asker in reads), default=FAR_US)
        return over

    def drain(self) -> list[Any]:
        """Everything; nothing is under way any more."""
        parts = [*(reads for _, reads in self._known), self._asked, self._waiting]
        left = [asker.read for reads in parts for asker in reads]
        self._known.clear()
        self._asked, self._waiting = [], []
        self._nonce = 0
        self._until_us = FAR_US
        return left

    def wake_us(self) -> int:
        """When something is due."""
        return min(self._until_us, self._sent_us + self._ctx.resend_us) if self._nonce else self._until_us
