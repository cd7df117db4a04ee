"""Everything that can happen in a small world, on the real replica: each state once, invariants in each.

Three members of one cluster; node 1 leads in ballot (1, 1) and proposes for slots of its own, others campaign
once each, whenever they like. A message may arrive at any time after it was sent, once, twice or never. So a
state is that of the three nodes (:mod:`consensus.simulation.small`), the set of messages sent so far that can
still matter (:mod:`consensus.simulation.stale`) and the votes on disks. States are searched breadth first, so
the first violation found has the shortest way there. Of states that were seen a hash of 64 bits is kept.

What must hold in each state:

* the values that a majority has on its disks in one ballot, for one slot, are the same in all: agreement;
* no node takes a value for chosen that is not, and none forgets it while it lives;
* in one ballot there is one value for a slot;
* promises never go back, restarts included, and no vote is below one.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from consensus.codec import decode_batch, encode
from consensus.messages.base import Message
from consensus.messages.paxos import Accept, Commit, Heartbeat, NewViewNotice
from consensus.simulation.config import topology_of
from consensus.simulation.small import Done, Local, Vote, act, begin
from consensus.simulation.stale import QUESTIONS, spent, unwanted
from consensus.types import Ballot, NodeId, Slot, majority

NODES: Final = (1, 2, 3)
MAJORITY: Final = majority(len(NODES))
TOLD_EVERY: Final = 10_000
State = tuple[int, int, int, int, int]
"""Numbers of the nodes' states, and sets (bits) of the messages sent and the votes on disks."""
SET_BYTES: Final = 128
"""Of a set in a state's name; a larger one ends the search with an error."""


def name_of(state: State) -> int:
    """64 bits for a state. Of its bytes: Python's hash of a number takes bit k for bit k + 61."""
    *local, sent, votes = state
    return hash((*local, sent.to_bytes(SET_BYTES, "little"), votes.to_bytes(SET_BYTES, "little")))


class Scope(msgspec.Struct, frozen=True):
    """``asks``: slots that the first leader proposes for; a view takes one more, and those proposed again.

    ``candidates`` campaign once each. ``restarts``: of all nodes together, at any point of any step.
    """

    name: str
    asks: int
    candidates: tuple[NodeId, ...]
    restarts: int = 0


SCOPES: Final = {
    scope.name: scope
    for scope in (
        Scope("quick", asks=1, candidates=(2,)),
        Scope("restarts", asks=1, candidates=(2,), restarts=1),
        Scope("ballots", asks=1, candidates=(2, 3)),
        Scope("slots", asks=2, candidates=(2,)),
    )
}


class Found(msgspec.Struct):
    """What a search has seen. ``violation``: what does not hold, if anything; ``way`` leads there."""

    scope: str
    states: int = 0
    transitions: int = 0
    node_states: int = 0
    messages: int = 0
    chosen: int = 0
    """States in which a value is chosen in each of two ballots for the same slot."""
    violation: str = ""
    way: list[str] = []


class Step(NamedTuple):
    """What happens: a message arrives (its number) or what :func:`small.act` names; ``crash`` as there."""

    node: NodeId
    event: int | str
    crash: bool


class Move(NamedTuple):
    """A transition of one node, worked out: its state after it, and bits that are added."""

    local: int
    sent: int
    votes: int


class ViolationError(Exception):
    """Something that must hold does not."""


class Search:
    """One search; :meth:`run` until it is over."""

    def __init__(
        self, scope: Scope, told: Callable[[Found], None] = lambda found: None, forgetful: bool = True
    ) -> None:
        self.found = Found(scope.name)
        self.forgetful = forgetful
        self._scope = scope
        self._told = told
        self._topology = topology_of(nodes=3, accounts=1, balance=1)
        self._locals: list[Local] = []
        self._local_ids: dict[object, int] = {}
        self._moves: list[dict[tuple[int | str, bool], Move | None]] = []
        self._messages: list[tuple[NodeId, NodeId, Message]] = []
        self._message_ids: dict[tuple[NodeId, NodeId, object], int] = {}
        self._addressed = dict.fromkeys(NODES, 0)
        self._questions = 0
        self._accepts = 0
        self._spent: dict[tuple[int, bool], tuple[int, int]] = {}
        """By a node's state, and whether it may start again: messages looked at, and those that are spent."""
        self._votes: list[Vote] = []
        self._vote_ids: dict[Vote, int] = {}
        self._chosen: dict[int, dict[Slot, bytes]] = {}
        self._before, self._steps = array("L", [0]), array("L", [0])
        """Of each state found, in the order in which they are looked at: from which, and by which step."""
        self._step_ids: dict[Step, int] = {}
        self._counted: dict[tuple[tuple[Ballot, ...], int], int] = {}

    # --- searching -------------------------------------------------------------------------

    def run(self) -> Found:
        found = self.found
        disk = self._scope.restarts > 0
        starts = [self._entered(node, begin(node, self._topology, self._scope.asks, disk)) for node in NODES]
        first: State = (
            starts[0].local,
            starts[1].local,
            starts[2].local,
            starts[0].sent | starts[1].sent | starts[2].sent,
            starts[0].votes | starts[1].votes | starts[2].votes,
        )
        seen = {name_of(first)}
        waiting = deque([first])
        while waiting:
            state = waiting.popleft()
            here = found.states
            found.states += 1
            for step in self._events(state):
                try:
                    move = self._move(state[step.node - 1], step.event, step.crash)
                    if move is None:
                        continue
                    found.transitions += 1
                    after = self._after(state, step.node, move)
                    name = name_of(after)
                    if name in seen:
                        continue
                    self._check(after, step.node)
                except (ViolationError, AssertionError) as error:
                    found.violation = str(error) or "an assertion of the core"
                    found.way = [*self._way(here), self._line(step)]
                    return self._over()
                seen.add(name)
                self._before.append(here)
                self._steps.append(self._step_ids.setdefault(step, len(self._step_ids)))
                waiting.append(after)
            if found.states % TOLD_EVERY == 0:
                self._told(self._over())
        return self._over()

    def _over(self) -> Found:
        self.found.node_states = len(self._locals)
        self.found.messages = len(self._messages)
        return self.found

    def _after(self, state: State, node: NodeId, move: Move) -> State:
        numbers = [*state[:3]]
        numbers[node - 1] = move.local
        one, two, three = numbers
        sent = state[3] | move.sent
        if self.forgetful:
            sent &= ~self._unneeded(numbers, sent)
        votes = state[4] | move.votes
        if self.forgetful:
            votes = self._counting(numbers, votes)
        return (one, two, three, sent, votes)

    def _unneeded(self, numbers: list[int], sent: int) -> int:
        """Which of the messages ``sent`` cannot matter any more."""
        locals_ = [self._locals[number] for number in numbers]
        again = sum(local.budget.restarts for local in locals_) < self._scope.restarts
        unneeded = 0
        for number in numbers:
            unneeded |= self._spent_by(number, again)
        # Votes are what everything rests on: that one is not cast is seen, not believed.
        for mid in _bits(sent & unneeded & self._accepts):
            target = self._messages[mid][1]
            if self._move(numbers[target - 1], mid, crash=False) is not None:
                unneeded ^= 1 << mid
        for mid in _bits(sent & self._questions & ~unneeded):
            source, target, message = self._messages[mid]
            if unwanted(message, locals_[target - 1], locals_[source - 1], again):
                unneeded |= 1 << mid
        return unneeded

    def _counting(self, numbers: list[int], votes: int) -> int:
        """Those of ``votes`` that decide: of a majority the first, of fewer those that may become one."""
        promised = tuple(self._locals[number].promised for number in numbers)
        known = self._counted.get((promised, votes))
        if known is None:
            by: dict[tuple[Slot, Ballot, bytes], list[int]] = {}
            for number, vote in enumerate(self._votes):
                if votes >> number & 1:
                    by.setdefault((vote.slot, vote.ballot, vote.value), []).append(number)
            known = 0
            for (_, ballot, _), numbers_ in by.items():
                voted = {self._votes[number].node for number in numbers_}
                free = {node for node, most in zip(NODES, promised, strict=True) if most <= ballot}
                if len(voted | free) >= MAJORITY:
                    for number in numbers_[:MAJORITY]:
                        known |= 1 << number
            self._counted[promised, votes] = known
        return known

    def _spent_by(self, number: int, again: bool) -> int:
        seen, mask = self._spent.get((number, again), (0, 0))
        if seen < len(self._messages):
            local = self._locals[number]
            for mid in range(seen, len(self._messages)):
                source, target, message = self._messages[mid]
                if target == local.node and spent(source, message, local, again):
                    mask |= 1 << mid
            self._spent[number, again] = (len(self._messages), mask)
        return mask

    def _events(self, state: State) -> Iterator[Step]:
        """Whatever may happen next."""
        scope = self._scope
        locals_ = [self._locals[number] for number in state[:3]]
        may_crash = sum(local.budget.restarts for local in locals_) < scope.restarts
        crashes = (False, True) if may_crash else (False,)
        for local in locals_:
            node = local.node
            for mid in _bits(state[3] & self._addressed[node]):
                for crash in crashes:
                    yield Step(node, mid, crash)
            if node in scope.candidates and local.may_campaign and not local.budget.campaigns:
                for crash in crashes:
                    yield Step(node, "campaign", crash)
            if local.may_tell:
                yield Step(node, "tell", False)
            if may_crash:
                yield Step(node, "restart", False)

    # --- moves -----------------------------------------------------------------------------

    def _move(self, number: int, event: int | str, crash: bool) -> Move | None:
        """What ``event`` does to a node's state; None if nothing."""
        known = self._moves[number]
        move = known.get((event, crash), known)
        if move is not known:
            return move  # type: ignore[return-value]
        local = self._locals[number]
        message = None
        if isinstance(event, int):
            source, _, content = self._messages[event]
            message = (source, content)
        disk = self._scope.restarts > 0
        name = event if isinstance(event, str) else "message"
        done = act(local, self._topology, name, message, crash, disk)
        self._check_node(local, done, restarted=crash or event == "restart")
        made: Move | None = self._entered(local.node, done)
        if made == Move(number, 0, 0):
            made = None
        known[event, crash] = made
        return made

    def _entered(self, node: NodeId, done: Done) -> Move:
        """The numbers of what came of an event."""
        key = done.after.key
        number = self._local_ids.setdefault(key, len(self._locals))
        if number == len(self._locals):
            self._locals.append(done.after)
            self._moves.append({})
        sent = 0
        for target, message in done.sent:
            name = (node, target, _sense(message))
            mid = self._message_ids.setdefault(name, len(self._messages))
            if mid == len(self._messages):
                self._messages.append((node, target, message))
                self._addressed[target] |= 1 << mid
                self._questions |= isinstance(message, QUESTIONS) << mid
                self._accepts |= isinstance(message, Accept) << mid
            sent |= 1 << mid
        votes = 0
        for vote in done.votes:
            vid = self._vote_ids.setdefault(vote, len(self._votes))
            if vid == len(self._votes):
                self._votes.append(vote)
            votes |= 1 << vid
        return Move(number, sent, votes)

    # --- what must hold --------------------------------------------------------------------

    @staticmethod
    def _check_node(local: Local, done: Done, restarted: bool) -> None:
        after = done.after
        if after.promised < local.promised:
            raise ViolationError(
                f"node {local.node} goes back from promise {local.promised} to {after.promised}"
            )
        for vote in done.votes:
            if vote.ballot < local.promised:
                raise ViolationError(
                    f"node {local.node} accepts in {vote.ballot} below its promise {local.promised}"
                )
        if restarted:
            return
        for slot, value in local.chosen.items():
            if after.chosen.get(slot) != value:
                raise ViolationError(f"node {local.node} forgets that slot {slot} is chosen")

    def _check(self, state: State, node: NodeId) -> None:
        chosen = self._chosen.get(state[4])
        if chosen is None:
            chosen = self._chosen[state[4]] = self._decided(state[4])
        local = self._locals[state[node - 1]]
        for slot, value in local.chosen.items():
            if chosen.get(slot) != value:
                what = self._told_value(value)
                raise ViolationError(f"node {node} takes {what} for chosen in slot {slot}, which it is not")

    def _decided(self, votes: int) -> dict[Slot, bytes]:
        """What is chosen, by slot."""
        by: dict[tuple[Slot, object], dict[bytes, set[NodeId]]] = {}
        for number, vote in enumerate(self._votes):
            if votes >> number & 1:
                by.setdefault((vote.slot, vote.ballot), {}).setdefault(vote.value, set()).add(vote.node)
        chosen: dict[Slot, bytes] = {}
        twice = False
        for (slot, ballot), values in sorted(by.items()):
            if len(values) > 1:
                raise ViolationError(f"two values for slot {slot} in ballot {ballot}")
            ((value, nodes),) = values.items()
            if len(nodes) < MAJORITY:
                continue
            twice = twice or slot in chosen
            if chosen.setdefault(slot, value) != value:
                both = f"{self._told_value(chosen[slot])} and {self._told_value(value)}"
                raise ViolationError(f"{both} are both chosen in slot {slot}")
        self.found.chosen += twice
        return chosen

    # --- telling ---------------------------------------------------------------------------

    @staticmethod
    def _told_value(value: bytes) -> str:
        batch = decode_batch(value)
        names = ", ".join(type(entry).__name__ for entry in batch.entries) or "a no-op"
        return f"{names} of ballot {tuple(batch.ballot)}"

    def _line(self, step: Step) -> str:
        if isinstance(step.event, int):
            source, _, message = self._messages[step.event]
            what = f"{type(message).__name__} from node {source}: {message}"
        else:
            what = step.event
        return f"node {step.node}: {what}" + (", and dies before it is on the disk" if step.crash else "")

    def _way(self, number: int) -> list[str]:
        """The steps to the state that was looked at as the ``number``-th."""
        names = list(self._step_ids)
        lines: list[str] = []
        while number:
            lines.append(self._line(names[self._steps[number]]))
            number = self._before[number]
        return lines[::-1]


def _sense(message: Message) -> object:
    """What a message says; all that only tell who leads, and what is chosen, say the same."""
    if isinstance(message, Commit | Heartbeat | NewViewNotice):
        return (message.ballot, message.watermark)
    return encode(message)


def _bits(mask: int) -> Iterator[int]:
    """Numbers of the bits that are set."""
    while mask:
        bit = mask & -mask
        mask ^= bit
        yield bit.bit_length() - 1
