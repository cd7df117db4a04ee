"""One incarnation at work: the replica, its journal, its checkpoints, its one timer.

What comes in during one turn of the loop becomes one input of :meth:`Replica.step`, and the outputs are
carried out at once: records go to the journal, messages leave or wait behind the gate for their sync,
answers go to clients. Nothing here blocks, and nothing is done for a message beyond these calls: this is the
path that every message takes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Any, Final, Protocol

from consensus.codec import encode
from consensus.effects import CheckpointDone, Event, Input, Persisted, ReplyTo, Together, Wake
from consensus.messages.paxos import Heartbeat, HeartbeatAck
from consensus.node.gate import Gate
from consensus.replica.door import Replica
from consensus.storage.checkpoint import CheckpointWriter
from consensus.storage.errors import StorageError
from consensus.storage.files import Files
from consensus.storage.folder import Opened
from consensus.storage.journal import Journal
from consensus.topology import Topology
from consensus.types import NodeId, Position, Slot

STOP_TIMEOUT_S: Final = 5.0
_NEVER: Final = float("inf")
_FAR_US: Final = 1 << 61
"""A replica that asks to be woken beyond this needs no timer."""
_URGENT: Final = frozenset((Heartbeat, HeartbeatAck))

_log = logging.getLogger(__name__)


class Host(Protocol):
    """What carries out the outputs that leave the process."""

    def leave(self, to: tuple[NodeId, ...], data: bytes, urgent: bool = False) -> None:
        """Send an encoded message to other nodes. ``urgent``: ahead of what has to wait."""

    def reply(self, replies: list[ReplyTo], now_us: int) -> None: ...

    def record(self, events: list[Event]) -> None: ...

    def end_turn_soon(self) -> None:
        """Call ``wake_if_due`` and ``hand_over`` at the end of this turn of the loop."""

    def end_turn(self) -> None:
        """The same, now."""

    def broken(self) -> None:
        """The replica cannot go on. Called once."""

    def disk_failed(self, error: StorageError) -> None:
        """Nothing may be promised any more. Called once."""


class Engine:
    """Runs the incarnation that ``opened`` holds, until :meth:`close`.

    Attributes:
        replica: for views of its state.
        journal: for views of its state.
    """

    def __init__(self, me: NodeId, topology: Topology, files: Files, opened: Opened, host: Host) -> None:
        self._host = host
        self._gate = Gate()
        self._closed = False
        self._came: list[Input] = []
        """What came in during this turn of the loop."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_us: float = _NEVER
        self._loop = asyncio.get_running_loop()
        post = self._loop.call_soon_threadsafe
        self.journal = Journal(
            files,
            opened.journal_folder,
            opened.journal,
            topology.limits.segment_bytes,
            post,
            self._synced,
            self._disk_failed,
            self._loop.call_soon,
        )
        self._checkpoints = CheckpointWriter(
            opened.checkpoint_path, post, self._checkpoint_done, self._disk_failed
        )
        seed = int.from_bytes(os.urandom(8), "big")
        self.replica = Replica(me, topology, opened.recovered, seed, wall_offset_us())
        for loss in filter(None, (opened.loss, self.replica.damage)):
            _log.error("this node takes no part in votes until it has caught up: %s", loss)

    def put(self, input: Input) -> None:
        """Keep an input until the end of this turn of the loop, where all that came are taken together."""
        self._came.append(input)
        if len(self._came) == 1:
            self._host.end_turn_soon()

    def take(self) -> None:
        """Let the replica take what was kept."""
        came, self._came = self._came, []
        if came:
            self._carry_out(Together(came))

    def step(self, input: Input) -> None:
        """Let the replica take an input now, after what was kept."""
        came, self._came = self._came, []
        self._carry_out(Together([*came, input]) if came else input)

    def _carry_out(self, input: Input) -> None:
        """Let the replica take one input, and carry out what follows.

        A replica that raises is in a state that nobody has thought of: it is never stepped again.
        """
        if self._closed:
            return
        try:
            self._step(input)
        except Exception:
            _log.critical("the replica failed on %.500r", input, exc_info=True)
            self._closed = True
            self._gate.clear()
            self._host.broken()

    def _step(self, input: Input) -> None:
        now_us = time.monotonic_ns() // 1_000
        replica = self.replica
        out = replica.step(now_us, input)
        host = self._host
        if out.persist:
            append = self.journal.append
            for record, slot in out.persist:
                append(record, slot)
            host.end_turn_soon()
        if out.sends:
            synced = self.journal.synced
            leave = host.leave
            for to, message, after in out.sends:
                data = encode(message)
                if after > synced:
                    self._gate.hold(after, to, data)
                elif type(message) in _URGENT:
                    leave(to, data, urgent=True)
                else:
                    leave(to, data)
        if out.events:
            host.record(out.events)
        if out.replies:
            host.reply(out.replies, now_us)
        if out.checkpoint is not None:
            self._checkpoints.begin(out.checkpoint)
        if out.truncate_to:
            self.journal.drop_below(out.truncate_to)
        wake_us = replica.wake_at_us
        if wake_us <= now_us:
            host.end_turn_soon()
        elif wake_us < self._timer_us:
            self._arm(wake_us, now_us)

    def wake_if_due(self) -> None:
        """Step with a wake if the replica wants one by now."""
        if self.replica.wake_at_us <= time.monotonic_ns() // 1_000:
            self.step(Wake())

    def hand_over(self) -> None:
        """Give what was appended to the disk.

        A follower waits for it: nobody needs to hear from one follower meanwhile. A leader never does: were
        the disk to stand still, the others would miss its heartbeats.
        """
        if self._closed:
            return
        now_us = time.monotonic_ns() // 1_000
        self.journal.flush(now_us, at_once=self.replica.leader is None)
        if self.replica.wake_at_us <= now_us:
            self._host.end_turn_soon()

    def drop_gated(self) -> None:
        """Messages that wait for a sync never leave."""
        self._gate.clear()

    def close(self) -> bool:
        """Take no more inputs, sync what was appended, end the threads.

        Blocks. False: the disk did not get done in time.
        """
        self._closed = True
        self._gate.clear()
        if self._timer is not None:
            self._timer.cancel()
        stopped = self._checkpoints.stop(STOP_TIMEOUT_S)
        return self.journal.close(STOP_TIMEOUT_S) and stopped

    # --- news ------------------------------------------------------------------------

    def _synced(self, position: Position) -> None:
        """Records are durable: let out what waited for them, then tell the replica."""
        if self._closed:
            return
        leave = self._host.leave
        for _, to, data in self._gate.release(position):
            leave(to, data)
        self.step(Persisted(position))
        self._host.end_turn()

    def _checkpoint_done(self, slot: Slot) -> None:
        self.step(CheckpointDone(slot))

    def _disk_failed(self, error: StorageError) -> None:
        if not self._closed:
            self._closed = True
            self._gate.clear()
            self._host.disk_failed(error)

    def _arm(self, wake_us: float, now_us: int) -> None:
        """Have one timer at ``wake_us``. A later wish waits until it fires: most wishes are put off again."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_us = wake_us
        self._timer = self._loop.call_later((wake_us - now_us) / 1e6, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_us = _NEVER
        now_us = time.monotonic_ns() // 1_000
        wake_us = self.replica.wake_at_us
        if self._closed:
            return
        if wake_us <= now_us:
            self._host.end_turn()
        elif wake_us < _FAR_US:
            self._arm(wake_us, now_us)


def wall_offset_us() -> int:
    """Wall clock (UTC) minus monotonic clock, microseconds."""
    return (time.time_ns() - time.monotonic_ns()) // 1_000


def describe(engine: Engine) -> dict[str, Any]:
    """What the disk's side adds to a status document."""
    waited_us = engine.journal.oldest_unsynced_us(time.monotonic_ns() // 1_000)
    return {"journal_bytes": engine.journal.bytes_used, "disk_wait_ms": waited_us / 1e3}
