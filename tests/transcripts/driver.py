"""Plays the commands of transcripts: one cluster of three replicas, and what each command causes.

Nothing happens unless a command asks for it: messages wait on their link for ``deliver``, records for
``persist``, timers for ``tick``. Only what a replica wants in the same turn (a wake at this very moment)
follows by itself. The replicas, their disks and the checker of the Paxos invariants are the simulator's.

An output line without indent is an input of a node, the indented ones are what came of it.

  cluster [limit=n …]         fresh cluster; n1 leads in (1,1); accounts 1 to 10 hold 100 each
  start [limit=n …]           the same, 25 ms later: alice's session is open (slot 1), nothing is under way
  tick 25ms                   let time pass; nodes wake when they asked to
  deliver 1->2 [Type]         deliver what waits on a link, or only messages of a type; ``deliver all``
  drop 1->2 [Type]            lose it instead
  replay 1->2 Type            a lost message arrives after all (again: a duplicate)
  persist 1                   sync the journal of a node; ``persist all``
  open 1 / submit 1 tx=1 1->2:5 [tx=2 …] / read 1 3    requests of the client alice to a node
  crash, restart, lose, fail, recover 1   (``lose``: crash, and the disk is gone)
  checkpoint 1                write the checkpoint that is due
  cut 1 / heal                a node's links lose everything / work again
  settle [25ms]               everything there is to do, and what comes due in that time; brief output
  state                       one line per node
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from consensus.effects import CheckpointDone, Persisted, Receive, Requests
from consensus.messages.base import Message
from consensus.messages.client import Open, Read, ReadItem, Submit
from consensus.messages.entries import Item
from consensus.replica.inspect import status
from consensus.simulation.stage import Flight, Note, Stage
from consensus.topology import Limits
from consensus.types import Ballot, NodeId
from tests.transcripts import shortform

ALICE: Final = b"alice".ljust(16, b".")
START_US: Final = 1_000_000
"""The stage's clock at its start; transcripts count from there."""
WAKES_MAX: Final = 1_000
"""Wakes that may follow from one command."""
BRIEF: Final = ("paxos.leader", "timer.fire", "node.fail", "node.recover")
"""Events that ``settle`` shows."""
ORDER: Final = ("event", "capture", "persist", "send", "reply")
"""In which order the effects of a step are printed."""
PLAIN: Final[dict[str, Callable[[Stage, NodeId], None]]] = {
    "crash": Stage.crash,
    "lose": Stage.lose_disk,
    "fail": Stage.fail,
    "recover": Stage.recover,
    "cut": Stage.isolate,
}
"""Commands that say to which node something happens, and no more."""


class CommandError(Exception):
    """A command that the driver does not understand."""


class Driver:
    """One cluster and its clock. :meth:`run` plays one command and returns its output."""

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._out: list[str] = []
        self._header = ""
        self._quiet = False
        self._effects: list[tuple[int, str]] = []
        self._brief = False
        self._requests = 0
        self._commands: dict[str, Callable[[list[str]], None]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    def run(self, line: str) -> list[str]:
        """Play one command.

        Raises:
            CommandError: no such command, or its arguments make no sense.
        """
        name, *args = line.split()
        if name not in self._commands and name not in PLAIN:
            raise CommandError(f"no command {name!r}; there are: {', '.join([*self._commands, *PLAIN])}")
        self._out = []
        try:
            if name in PLAIN:
                PLAIN[name](self.stage, self._node(args))
            else:
                self._commands[name](args)
        except (ValueError, IndexError, KeyError) as error:
            raise CommandError(f"{line!r}: {error!r}") from error
        self._wake_due()
        self._flush()
        return self._out

    @property
    def stage(self) -> Stage:
        if self._stage is None:
            raise CommandError("a transcript begins with the command: cluster")
        return self._stage

    # --- output ----------------------------------------------------------------------

    def _watch(self, note: Note) -> None:
        kind = note.kind
        if kind == "input":
            self._flush()
            self._header, self._quiet = self._input(note)
        elif kind == "event" and (not self._brief or note.what.kind in BRIEF):
            self._effect(note, shortform.event(note.node, note.what))
        elif kind == "reply":
            self._effect(note, f"tells client: {shortform.message(note.what.message)}")
        elif self._brief:
            return
        elif kind == "persist":
            self._effect(note, f"journal: {shortform.message(note.what)}")
        elif kind == "send":
            to = ", ".join(f"n{node}" for node in note.what.to)
            self._effect(note, f"-> {to}: {shortform.message(note.what.message)}")
        elif kind == "capture":
            self._effect(note, f"checkpoint due: slot {note.what.slot}")

    def _effect(self, note: Note, text: str) -> None:
        if text:
            line = f"n{note.node} {text}" if self._brief else f"  {text}"
            self._effects.append((ORDER.index(note.kind), line))

    def _flush(self) -> None:
        """Print a step: its input, and its effects by kind. A wake without effects is no news."""
        if self._header and not self._brief and (self._effects or not self._quiet):
            self._out.append(self._header)
        self._out.extend(text for _, text in sorted(self._effects, key=lambda effect: effect[0]))
        self._header, self._effects = "", []

    def _input(self, note: Note) -> tuple[str, bool]:
        """An input in short, and whether it is worth a line only if something comes of it."""
        what, node = note.what, f"n{note.node}"
        if isinstance(what, Receive):
            return f"{node} <- n{what.sender}: {shortform.message(what.messages[0])}", False
        if isinstance(what, Requests):
            return f"{node} <- client: {shortform.message(what.messages[0])}", False
        if isinstance(what, Persisted):
            return f"{node} synced", False
        if isinstance(what, CheckpointDone):
            return f"{node} checkpoint durable: slot {what.slot}", False
        return f"{node} at {(self.stage.now_us - START_US) / 1000:g} ms", True

    # --- time --------------------------------------------------------------------------

    def _wake_due(self) -> None:
        if self._stage is not None:
            self._pass_to(self.stage.now_us)

    def _pass_to(self, end_us: int) -> None:
        """Wake every node at the time it asked for, up to ``end_us``."""
        stage = self.stage
        for _ in range(WAKES_MAX):
            due = [
                (node.replica.wake_at_us, number)
                for number, node in stage.nodes.items()
                if node.replica is not None and node.replica.wake_at_us <= end_us
            ]
            if not due:
                stage.now_us = end_us
                return
            at_us, number = min(due)
            stage.now_us = max(stage.now_us, at_us)
            stage.wake(number)
        raise CommandError("the replicas do not come to rest")

    def do_tick(self, args: list[str]) -> None:
        self._pass_to(self.stage.now_us + _us(args[0]))

    def do_settle(self, args: list[str]) -> None:
        self._brief = True
        try:
            self.stage.run(_us(args[0]) / 1000 if args else 0)
        finally:
            self._flush()
            self._brief = False

    # --- links and disks ---------------------------------------------------------------

    def do_deliver(self, args: list[str]) -> None:
        for flight in self._flights(args):
            self.stage.flying.remove(flight)
            self.stage.arrive(flight)
            self._wake_due()

    def do_drop(self, args: list[str]) -> None:
        for flight in self._flights(args):
            self.stage.flying.remove(flight)
            self.stage.dropped.append(flight)
            self._out.append(f"lost {_flight(flight)}")

    def do_replay(self, args: list[str]) -> None:
        source, target = _link(args[0])
        found = [
            f for f in self.stage.dropped if f[:2] == (source, target) and type(f.message).__name__ == args[1]
        ]
        self.stage.arrive(found[0])

    def _flights(self, args: list[str]) -> list[Flight]:
        flying = list(self.stage.flying)
        if args[0] != "all":
            link = _link(args[0])
            flying = [f for f in flying if f[:2] == link]
        return [f for f in flying if len(args) < 2 or type(f.message).__name__ == args[1]]

    def do_persist(self, args: list[str]) -> None:
        for node in list(self.stage.nodes) if args[0] == "all" else [self._node(args)]:
            if self.stage.nodes[node].up:
                self.stage.sync(node)

    def do_checkpoint(self, args: list[str]) -> None:
        while self.stage.checkpoint(self._node(args)):
            pass

    def do_heal(self, args: list[str]) -> None:
        self.stage.heal()

    # --- nodes ---------------------------------------------------------------------------

    def do_cluster(self, args: list[str]) -> None:
        limits = {name: int(value) for name, _, value in (arg.partition("=") for arg in args)}
        stage = self._stage = Stage(limits=Limits(**limits))
        stage.watch = self._watch
        for node in stage.nodes:
            stage.replica(node).trace_level = 1
        for flight in stage.flying:
            self._out.append(_flight(flight))

    def do_start(self, args: list[str]) -> None:
        self.do_cluster(args)
        self.do_open(["1"])
        self.do_settle(["25ms"])
        self._out = []
        self.do_state(args)

    def do_restart(self, args: list[str]) -> None:
        node = self._node(args)
        self.stage.restart(node)
        self.stage.replica(node).trace_level = 1

    def do_state(self, args: list[str]) -> None:
        for number, node in self.stage.nodes.items():
            if node.replica is None:
                self._out.append(f"n{number} down")
                continue
            found = status(node.replica)
            changed = [a for a in node.replica.machine.state.accounts.values() if a.version]
            self._out.append(
                f"n{number} {found['role']} {found['state']} promised={Ballot(*found['ballot'])}"
                f" chosen={found['watermark']} applied={found['applied']}"
                f" balances=[{', '.join(f'{a.id}:{a.balance}' for a in sorted(changed, key=lambda a: a.id))}]"
            )

    def _node(self, args: list[str]) -> NodeId:
        node = int(args[0])
        if node not in self.stage.nodes:
            raise CommandError(f"no node {node}")
        return node

    # --- clients -------------------------------------------------------------------------

    def do_open(self, args: list[str]) -> None:
        self._ask(args, Open(ALICE))

    def do_submit(self, args: list[str]) -> None:
        items: list[Item] = []
        for name, legs in zip(args[1::2], args[2::2], strict=True):
            sender, receiver, amount = map(int, re.split("->|:", legs))
            number = int(name.removeprefix("tx="))
            items.append(Item(number, (sender, -amount, receiver, amount)))
        self._ask(args, Submit(ALICE, 0, items))

    def do_read(self, args: list[str]) -> None:
        self._requests += 1
        self._ask(args, Read([ReadItem(self._requests, tuple(map(int, args[1:])))]))

    def _ask(self, args: list[str], message: Message) -> None:
        self.stage.request(self._node(args), message)


def _link(text: str) -> tuple[NodeId, NodeId]:
    source, target = text.split("->")
    return int(source), int(target)


def _flight(flight: Flight) -> str:
    return f"n{flight.source} -> n{flight.target}: {shortform.message(flight.message)}"


def _us(text: str) -> int:
    """``25ms`` in microseconds."""
    return int(float(text.removesuffix("ms")) * 1000)
