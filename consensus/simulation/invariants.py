"""What must hold after every step, judged from outside the core.

The checker keeps its own account of the truth: which values were accepted on disk by whom, hence what is
chosen, hence (through ``model``) what the bank's state and every outcome must be. A replica's claims are
held against it: what its messages say when they leave, what it marks as chosen, what it has applied, what it
answers.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from consensus.bank.audit import AuditReport
from consensus.bank.state import BankState
from consensus.codec import decode_batch
from consensus.messages.base import Message
from consensus.messages.client import Level, Outcome, ReadItem, ReadResult, Status
from consensus.messages.paxos import (
    Accept,
    Accepted,
    Chosen,
    Commit,
    Heartbeat,
    HeartbeatAck,
    PreVoteReply,
    Promise,
    SlotValue,
)
from consensus.messages.records import AcceptedValue, LearnerMark, Promised, Record
from consensus.replica.door import Replica
from consensus.simulation.model import Bank, ModelError
from consensus.simulation.whole import Whole, WholeError
from consensus.topology import Cluster, Topology
from consensus.types import (
    BALLOT_NONE,
    SESSIONS_MAX,
    AccountId,
    Ballot,
    NodeId,
    SessionId,
    Slot,
    TxId,
    majority,
)

DRIFT_ALLOWED: Final = 1.01
"""A bounded read's age counts on the clock of the node that answers, which is off by half of that at most."""
VOTES: Final = (Promise, Accepted, HeartbeatAck)


class Violation(AssertionError):
    """``invariant`` is its short name."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = detail


class Watched:
    """The last that was seen of a node's current process, and what its disk must hold."""

    __slots__ = (
        "applied",
        "damaged",
        "floor",
        "leads",
        "marked",
        "promised",
        "sent_promise",
        "synced_promise",
        "watermark",
    )

    def __init__(self) -> None:
        self.promised: Ballot = BALLOT_NONE
        self.watermark: Slot = 0
        self.floor: Slot = 0
        self.applied: Slot = 0
        self.leads: Ballot = BALLOT_NONE
        self.synced_promise: Ballot = BALLOT_NONE
        self.sent_promise: Ballot = BALLOT_NONE
        self.damaged = False
        """Something synced may be lost, and the node has not been rebuilt since: it has no voice."""
        self.marked = False
        """The disk does not say yet that a node which was a learner is none any more."""


class Checker:
    """Invariants of one cluster. Raises :class:`Violation`."""

    def __init__(
        self,
        topology: Topology,
        cluster: Cluster,
        whole: Whole,
        hash_every: int = 1,
        sessions_max: int = SESSIONS_MAX,
    ) -> None:
        self.cluster = cluster
        self.whole = whole
        self.majority = majority(len(cluster.members))
        self.bank = Bank(
            cluster.first_account,
            cluster.last_account,
            topology.initial_balance,
            topology.accounts,
            cluster.id,
            whole,
            sessions_max,
        )
        self.chosen: dict[Slot, bytes] = {}
        self._chosen_in: dict[Slot, Ballot] = {}
        self.chosen_to: Slot = 0
        """Every slot up to this one is chosen."""
        self.chosen_top: Slot = 0
        self._changed: dict[Slot, set[AccountId]] = {}
        self._values: dict[Slot, dict[Ballot, bytes]] = {}
        self._accepted: dict[Slot, dict[Ballot, set[NodeId]]] = {}
        self._own: dict[NodeId, dict[Slot, AcceptedValue]] = {node: {} for node in cluster.members}
        """Per node: the last acceptance that is on its disk, by slot."""
        self._lost_candidates: set[NodeId] = set()
        self.state_transfers = 0
        self.rebuilt = 0
        self._leaders: dict[Ballot, int] = {}
        self._hashes: dict[Slot, bytes] = {}
        self._hash_every = hash_every
        self._watched = {node: Watched() for node in cluster.members}
        self.acknowledged: dict[TxId, Outcome] = {}

    @property
    def elections(self) -> int:
        """Ballots that led, besides the first."""
        return max(0, len(self._leaders) - 1)

    # --- what reaches the disk -------------------------------------------------------

    def formatted(self, node: NodeId, promised: Ballot) -> None:
        self._watched[node].synced_promise = promised

    def appended(self, record: Record) -> None:
        """A record was handed to the journal: one value per (ballot, slot)."""
        if type(record) is AcceptedValue:
            values = self._values.setdefault(record.slot, {})
            held = values.setdefault(record.ballot, record.value)
            if held is not record.value and held != record.value:
                raise Violation(
                    "one value per ballot and slot", f"slot {record.slot}, ballot {record.ballot}"
                )

    def synced(self, node: NodeId, records: list[Record]) -> None:
        """Records of ``node`` are on its disk."""
        watched = self._watched[node]
        for record in records:
            kind = type(record)
            if kind is AcceptedValue:
                assert isinstance(record, AcceptedValue)
                watched.synced_promise = max(watched.synced_promise, record.ballot)
                self._own[node][record.slot] = record
                by = self._accepted.setdefault(record.slot, {}).setdefault(record.ballot, set())
                by.add(node)
                if len(by) >= self.majority:
                    self._choose(record.slot, record.ballot, record.value)
            elif kind is Promised:
                assert isinstance(record, Promised)
                watched.synced_promise = max(watched.synced_promise, record.ballot)
            elif kind is LearnerMark:
                assert isinstance(record, LearnerMark)
                watched.marked = record.learner

    def _choose(self, slot: Slot, ballot: Ballot, value: bytes) -> None:
        held = self.chosen.get(slot)
        if held is not None:
            if held != value:
                raise Violation("agreement", f"slot {slot}: two values chosen")
            return
        self.chosen[slot] = value
        self._chosen_in[slot] = ballot
        self.chosen_top = max(self.chosen_top, slot)
        while (following := self.chosen.get(self.chosen_to + 1)) is not None:
            self.chosen_to += 1
            try:
                self._changed[self.chosen_to] = self.bank.apply(self.chosen_to, decode_batch(following))
            except ModelError as error:
                raise Violation("money and sessions", str(error)) from error

    def lost(self, node: NodeId) -> None:
        """The disk of ``node`` was damaged."""
        self._watched[node].damaged = True
        self._lost_candidates.add(node)

    def damaged(self) -> list[NodeId]:
        """Nodes that lost something and are not rebuilt, or whose journal does not say yet that they are."""
        return [node for node, watched in self._watched.items() if watched.damaged or watched.marked]

    # --- life of a process -------------------------------------------------------------

    def booted(self, node: NodeId, replica: Replica) -> None:
        """A process started from its disk: nothing that was synced may be missing, unless it is a learner."""
        watched = self._watched[node]
        acceptor, log = replica.acceptor, replica.acceptor.log
        if acceptor.learner:
            if not watched.damaged and not watched.marked:
                raise Violation("disk", f"n{node} became a learner without any damage: {replica.damage}")
            watched.damaged = watched.marked = True
            watched.synced_promise = BALLOT_NONE
            self._own[node] = {}
        else:
            watched.damaged = False
            if acceptor.promised < watched.synced_promise:
                raise Violation(
                    "promise never goes back", f"n{node}: {watched.synced_promise} to {acceptor.promised}"
                )
            for slot, record in self._own[node].items():
                if slot > log.floor:
                    entry = log.get(slot)
                    if entry is None or (entry.ballot <= record.ballot and entry.value != record.value):
                        raise Violation("disk", f"n{node} forgot that it accepted slot {slot}")
        watched.promised, watched.watermark, watched.floor = acceptor.promised, log.watermark, log.floor
        watched.applied = replica.machine.state.slot
        watched.leads = BALLOT_NONE
        self._check_chosen(node, replica, 0)
        self._check_state(node, replica, 0)

    def stepped(self, node: NodeId, life: int, replica: Replica) -> None:
        """After each step of ``node``."""
        watched = self._watched[node]
        acceptor = replica.acceptor
        log = acceptor.log
        if acceptor.promised != watched.promised:
            if acceptor.promised < watched.promised:
                raise Violation(
                    "promise never goes back", f"n{node}: {watched.promised} to {acceptor.promised}"
                )
            watched.promised = acceptor.promised
        if log.watermark != watched.watermark:
            if log.watermark < watched.watermark:
                raise Violation(
                    "watermark never goes back", f"n{node}: {watched.watermark} to {log.watermark}"
                )
            before, watched.watermark = watched.watermark, log.watermark
            self.state_transfers += log.floor > before
            self._check_chosen(node, replica, before)
        if log.floor != watched.floor:
            if log.floor < watched.floor:
                raise Violation("floor never goes back", f"n{node}: {watched.floor} to {log.floor}")
            watched.floor = log.floor
        applied = replica.machine.state.slot
        if applied != watched.applied:
            if applied < watched.applied:
                raise Violation("applied slot never goes back", f"n{node}: {watched.applied} to {applied}")
            before, watched.applied = watched.applied, applied
            self._check_state(node, replica, before)
        leader = replica.leader
        if leader is not None and leader.ballot != watched.leads:
            watched.leads = leader.ballot
            self._check_leader(node, life, replica)
        if watched.damaged and not acceptor.learner:
            self._check_rebuilt(node, replica)

    def _check_chosen(self, node: NodeId, replica: Replica, after: Slot) -> None:
        log = replica.acceptor.log
        if log.watermark > self.chosen_to:
            raise Violation(
                "chosen by a majority", f"n{node} says {log.watermark}, chosen is {self.chosen_to}"
            )
        for slot in range(max(after, log.floor) + 1, log.watermark + 1):
            entry = log.get(slot)
            if entry is None or not entry.chosen:
                raise Violation("log", f"n{node}: slot {slot} is missing below the watermark {log.watermark}")
            if entry.value is not self.chosen[slot] and entry.value != self.chosen[slot]:
                raise Violation(
                    "agreement", f"n{node} holds another value than the chosen one for slot {slot}"
                )

    def _check_state(self, node: NodeId, replica: Replica, after: Slot) -> None:
        """The applied state is the model's at that slot."""
        state = replica.machine.state
        slot = state.slot
        if slot > replica.acceptor.log.watermark:
            raise Violation("applied before chosen", f"n{node}: {slot}")
        history = self.bank.history
        touched: set[AccountId] = set()
        for s in range(after + 1, slot + 1):
            touched |= self._changed[s]
        for account_id in touched:
            account = state.accounts.get(account_id)
            if (account is not None) != self.bank.owned_at(account_id, slot):
                raise Violation("owners follow from the log", f"n{node} at {slot}: account {account_id}")
            if account is None:
                continue
            committed = account.balance - state.cross.undo.get(account_id, 0)
            if not shown_at(history[account_id], account.version, committed, slot):
                raise Violation(
                    "state follows from the log",
                    f"n{node} at {slot}: account {account_id} is at {committed}, v{account.version}",
                )
        self._check_locks(node, state)
        if slot == self.bank.slot and state.moves.taken != self.bank.moves.taken:
            raise Violation("taken follows from the log", f"n{node} at {slot}: {state.moves.taken}")
        if state.audit and (cut := replica.machine.audits.get(state.audit)) is not None:
            self._check_cut(cut)
        if slot % self._hash_every == 0 or slot - after > 1:
            digest = state.digest()
            if self._hashes.setdefault(slot, digest) != digest:
                raise Violation("replicas equal at equal slots", f"n{node} at slot {slot}")

    def _check_locks(self, node: NodeId, state: BankState) -> None:
        """Prepared is what the log says; locks and undo records are those of its legs, and no other."""
        held = self.bank.held_at(state.slot)
        cross = state.cross
        found = {tx: (p.coordinator, p.at, p.legs) for tx, p in cross.prepared.items()}
        if found != {tx: (h.coordinator, h.at, h.legs) for tx, h in held.items()}:
            raise Violation("prepared follows from the log", f"n{node} at {state.slot}: {found}, not {held}")
        pairs = [(a, tx, d) for tx, h in held.items() for a, d in zip(h.legs[::2], h.legs[1::2], strict=True)]
        if cross.locks != {account: tx for account, tx, _ in pairs}:
            raise Violation("no lock without a prepared transaction", f"n{node}: {cross.locks}")
        if cross.undo != {account: delta for account, _, delta in pairs}:
            raise Violation("undo records are the prepared deltas", f"n{node}: {cross.undo}")

    def _check_cut(self, cut: AuditReport) -> None:
        try:
            self.whole.cut(cut)
        except WholeError as error:
            raise Violation("money of the whole bank", str(error)) from error

    def _check_leader(self, node: NodeId, life: int, replica: Replica) -> None:
        """At most one leader per ballot, and every value chosen before stands in its log."""
        leader = replica.leader
        assert leader is not None
        ballot = leader.ballot
        if self._leaders.setdefault(ballot, node << 32 | life) != node << 32 | life:
            raise Violation("one leader per ballot", f"{ballot} twice")
        log = replica.acceptor.log
        for slot in range(log.watermark + 1, self.chosen_top + 1):
            value = self.chosen.get(slot)
            if value is None:
                continue
            if self._chosen_in[slot] > ballot:
                continue
            entry = log.get(slot)
            if entry is None or entry.value != value:
                raise Violation("leader completeness", f"n{node} leads {ballot} without chosen slot {slot}")

    def _check_rebuilt(self, node: NodeId, replica: Replica) -> None:
        """A node that lost its disk votes again: every promise it gave that can still matter binds it."""
        watched = self._watched[node]
        watched.damaged = False
        self.rebuilt += 1
        given = watched.sent_promise
        if given > replica.acceptor.promised and given.node not in self._lost_candidates:
            raise Violation(
                "a rebuilt node keeps its promises", f"n{node} gave {given}, now {replica.acceptor.promised}"
            )

    # --- what leaves ---------------------------------------------------------------------

    def leaving(self, node: NodeId, replica: Replica, message: Message) -> None:
        """A message of ``node`` goes out now."""
        kind = type(message)
        watched = self._watched[node]
        if kind is Accepted:
            assert isinstance(message, Accepted)
            self._check_vote(node, replica, message.ballot)
            own = self._own[node].get(message.slot)
            if (own is None or own.ballot < message.ballot) and message.slot not in self.chosen:
                raise Violation("synced before sent", f"n{node}: Accepted of slot {message.slot}")
        elif kind is Accept or kind is Commit or kind is Heartbeat:
            assert isinstance(message, Accept | Commit | Heartbeat)
            if message.watermark > self.chosen_to:
                raise Violation("chosen by a majority", f"n{node} tells {message.watermark}")
        elif kind is Promise:
            assert isinstance(message, Promise)
            self._check_vote(node, replica, message.ballot)
            if watched.synced_promise < message.ballot:
                raise Violation("synced before sent", f"n{node}: Promise of {message.ballot}")
            watched.sent_promise = max(watched.sent_promise, message.ballot)
            self._check_told(node, message.entries)
        elif kind is Chosen:
            assert isinstance(message, Chosen)
            self._check_told(node, message.entries)
            if not all(value.chosen for value in message.entries):
                raise Violation("gap repair carries chosen values", f"n{node}")
        elif kind is HeartbeatAck:
            assert isinstance(message, HeartbeatAck)
            self._check_vote(node, replica, message.ballot)
        elif kind is PreVoteReply:
            assert isinstance(message, PreVoteReply)
            if message.granted:
                self._check_vote(node, replica, message.ballot)

    def _check_vote(self, node: NodeId, replica: Replica, ballot: Ballot) -> None:
        if self._watched[node].damaged:
            raise Violation("a learner has no voice", f"n{node} answers {ballot}")

    def _check_told(self, node: NodeId, values: list[SlotValue]) -> None:
        for value in values:
            if value.chosen and self.chosen.get(value.slot) != value.value:
                raise Violation("agreement", f"n{node} tells slot {value.slot} as chosen")

    # --- what clients are told ------------------------------------------------------------

    def answered(self, session: SessionId, number: int, outcome: Outcome) -> None:
        """A client got an outcome: it stands in the chosen log, and it is the only one."""
        tx = TxId(session, number)
        verdict = self.bank.ended.get(tx)
        if verdict is None:
            raise Violation("no outcome without a chosen entry", f"{tx}: {outcome}")
        if (outcome.status, outcome.slot, outcome.legs) != verdict:
            raise Violation("one outcome per transaction", f"{tx}: {outcome} instead of {verdict}")
        first = self.acknowledged.setdefault(tx, outcome)
        if first != outcome:
            raise Violation("one outcome per transaction", f"{tx}: {outcome} after {first}")
        if outcome.status != Status.INVALID:
            # Nobody pays for what is invalid, so that does not move: each cluster may say it for itself.
            try:
                self.whole.told(tx, verdict)
            except WholeError as error:
                raise Violation("one outcome per transaction", str(error)) from error

    def saw(self, accounts: tuple[AccountId, ...], values: tuple[int, ...], now_us: int) -> None:
        """A client knows of these versions now; no later linearizable read may show older ones."""
        known = self.whole.seen_versions
        for account, version in zip(accounts, values[::2], strict=False):
            seen = known.setdefault(account, [(0, 0)])
            if version > seen[-1][1]:
                seen.append((now_us, version))

    def least_versions(
        self, accounts: tuple[AccountId, ...], level: Level, bound_ms: int, now_us: int
    ) -> tuple[int, ...]:
        """What a read of ``level`` that starts now must at least show."""
        if level == Level.EVENTUAL:
            return (0,) * len(accounts)
        age_us = int(bound_ms * 1_000 * DRIFT_ALLOWED) if level == Level.BOUNDED else 0
        return tuple(self._known_at(account, now_us - age_us) for account in accounts)

    def _known_at(self, account: AccountId, at_us: int) -> int:
        """The newest version that any client knew at world time ``at_us``."""
        seen = self.whole.seen_versions.get(account, [])
        place = bisect_right(seen, at_us, key=lambda known: known[0])
        return seen[place - 1][1] if place else 0

    def read(self, item: ReadItem, result: ReadResult, least: tuple[int, ...]) -> None:
        """A client got the answer to a read it began when ``least`` were the versions known."""
        for i, account in enumerate(item.accounts):
            version, balance = result.values[2 * i], result.values[2 * i + 1]
            if not shown_at(self.bank.history[account], version, balance, result.slot):
                raise Violation(
                    "reads show the state of one slot",
                    f"account {account} at slot {result.slot}: v{version} = {balance}",
                )
            if version < least[i]:
                name = Level(item.level).name.lower()
                raise Violation(f"{name} reads", f"account {account}: v{version}, but v{least[i]} was known")

    # --- at rest ----------------------------------------------------------------------------

    def at_rest(self, replicas: dict[NodeId, Replica]) -> None:
        """Everything is healed and answered: the replicas are the model, whole."""
        for node, replica in replicas.items():
            state = replica.machine.state
            if state.slot != self.bank.slot:
                raise Violation(
                    "replicas identical at rest", f"n{node} is at {state.slot} of {self.bank.slot}"
                )
            if state.accounts.keys() != self.bank.balances.keys():
                raise Violation("replicas identical at rest", f"n{node}: owned accounts")
            if state.moves.batches or state.moves.taken or self.bank.moves.out:
                raise Violation("batches of accounts come to an end", f"n{node}: {state.moves.batches}")
            for account, balance in self.bank.balances.items():
                held = state.accounts[account]
                if (held.balance, held.version) != (balance, self.bank.versions[account]):
                    raise Violation("replicas identical at rest", f"n{node}: account {account}")
            if set(state.sessions) != set(self.bank.sessions):
                raise Violation("replicas identical at rest", f"n{node}: sessions")
            for session_id, session in state.sessions.items():
                model = self.bank.sessions[session_id]
                told = {n: (o.status, o.slot, o.legs) for n, o in session.outcomes.items()}
                if (session.settled_below, told) != (model.settled_below, model.verdicts):
                    raise Violation("replicas identical at rest", f"n{node}: session {session_id.hex()}")
            if state.views_total != self.bank.views:
                raise Violation("replicas identical at rest", f"n{node}: views")
            cross = state.cross
            if cross.prepared or cross.locks or cross.undo or cross.unfinished or self.bank.unfinished:
                raise Violation("locks and undo records drain", f"n{node}")
        if len({replica.machine.state.digest() for replica in replicas.values()}) > 1:
            raise Violation("replicas identical at rest", "hashes differ")


def shown_at(history: list[tuple[Slot, int]], version: int, balance: int, slot: Slot) -> bool:
    """Whether an account with this history had that version and balance at ``slot``."""
    if version >= len(history) or history[version][1] != balance or history[version][0] > slot:
        return False
    return version + 1 == len(history) or history[version + 1][0] > slot
