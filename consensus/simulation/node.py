"""One simulated node: the process around a replica, and the disk and clock it runs on.

What a worker does with the outputs of a step is done here with the same rules: records are appended and
synced in groups, a message leaves once the journal is synced up to its position, a checkpoint is written in
pieces and counts when all of it is there.
"""

from __future__ import annotations

from consensus.effects import Capture, CheckpointDone, Freeze, Input, Outputs, Persisted, Send, Thaw, Together
from consensus.replica.door import Replica
from consensus.simulation.clock import Clock
from consensus.simulation.disk import Disk
from consensus.simulation.draws import key_of
from consensus.simulation.invariants import Checker
from consensus.topology import Topology
from consensus.types import Ballot, NodeId

FAR_US = 1 << 60


class SimNode:
    """A node between crashes. ``life`` counts the processes that ran on its disk."""

    def __init__(
        self, seed: int, node: NodeId, topology: Topology, disk: Disk, clock: Clock, checker: Checker
    ) -> None:
        self.id = node
        self.disk = disk
        self.clock = clock
        self.checker = checker
        self.life = 0
        self.replica: Replica | None = None
        self.capture: Capture | None = None
        """The checkpoint that is being written."""
        self.wake_us = FAR_US
        """World time of the earliest wake that is under way."""
        self.wedged = False
        """Set by faults: no sync ends while it holds."""
        self.slowness = 1
        """Set by faults: how many times longer everything on the disk takes."""
        self._seed = seed
        self._topology = topology
        self.came: list[Input] = []
        """What came in during the present turn of its loop."""
        self._gated: list[Send] = []

    @property
    def up(self) -> bool:
        return self.replica is not None

    @property
    def frozen(self) -> bool:
        return self.replica is not None and self.replica.frozen

    # --- life ------------------------------------------------------------------------

    def format(self) -> None:
        """Make the folder of a fresh incarnation."""
        first = Ballot(1, self._topology.cluster_by_node[self.id].first_leader)
        self.disk.format(first)
        self.checker.formatted(self.id, first)

    def boot(self, bootstrap: bool = False) -> None:
        """Start a process from what is on the disk."""
        assert self.replica is None
        self.life += 1
        recovered, _ = self.disk.recover(bootstrap)
        seed = key_of(self._seed, "life", self.id, self.life)
        # The wall clock starts right and drifts; ages of transactions are compared between nodes by it.
        self.replica = Replica(self.id, self._topology, recovered, seed, -self.clock.offset_us)
        self.wake_us = FAR_US
        self.checker.booted(self.id, self.replica)

    def crash(self) -> None:
        """The process is gone, and with it everything that was not synced."""
        assert self.replica is not None
        self.checker.synced(self.id, self.disk.crash())
        self.replica = None
        self.capture = None
        self.came = []
        self._gated = []

    # --- steps -------------------------------------------------------------------------

    def step(self, now_us: int, input: Input) -> tuple[Outputs, list[Send]]:
        """One step, with what came before it. Returns its outputs, and the messages that may leave now."""
        if self.came:
            input = Together([*self.came, input])
            self.came = []
        replica = self.replica
        assert replica is not None
        out = replica.step(self.clock.local(now_us), input)
        checker = self.checker
        if out.persist:
            for append in out.persist:
                checker.appended(append.record)
            self.disk.append(out.persist)
        checker.stepped(self.id, self.life, replica)
        if out.checkpoint is not None:
            assert self.capture is None, "a second checkpoint while one is being written"
            self.capture = out.checkpoint
            self.disk.begin_checkpoint()
        if out.truncate_to:
            self.disk.drop_below(out.truncate_to)
        return out, self._leaving(out.sends)

    def _leaving(self, sends: list[Send]) -> list[Send]:
        """Messages whose records are synced; the others wait. A failed node's messages are dropped."""
        replica = self.replica
        assert replica is not None
        synced = replica.ctx.synced
        if self._gated:
            sends = self._gated + sends
            self._gated = []
        leaving: list[Send] = []
        for send in sends:
            if send.after > synced:
                self._gated.append(send)
            elif not replica.frozen:
                self.checker.leaving(self.id, replica, send.message)
                leaving.append(send)
        return leaving

    def synced(self) -> Persisted:
        """The write in flight ended. Returns what to step with."""
        position, records = self.disk.finish_write()
        self.checker.synced(self.id, records)
        return Persisted(position)

    def write_checkpoint(self, rows: int) -> CheckpointDone | None:
        """Take a further piece of the capture; after the last one, commit, and return what to step with."""
        assert self.capture is not None
        if self.disk.stage(self.capture, rows):
            return None
        done = CheckpointDone(self.capture.slot)
        self.disk.commit_checkpoint(self.capture.replace)
        self.capture = None
        return done

    def freeze(self) -> Freeze:
        self._gated = []
        return Freeze()

    def thaw(self) -> Thaw:
        return Thaw()
