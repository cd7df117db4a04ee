"""Rules of the core taken away, one at a time: each is what somebody might have forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from consensus.bank.sessions import Session
from consensus.bank.state import BankState, StateCapture
from consensus.codec import CHUNK_BYTES
from consensus.messages.client import Level
from consensus.messages.paxos import Accepted, Chosen, IndexReply, Promise, SlotValue
from consensus.paxos import context
from consensus.paxos.acceptor import Acceptor
from consensus.paxos.catchup import Catchup
from consensus.paxos.context import Context
from consensus.paxos.election import Election, Won
from consensus.paxos.freshness import Freshness
from consensus.paxos.indexquery import IndexQueries
from consensus.paxos.leader import Leader
from consensus.paxos.learner import Learner
from consensus.paxos.readindex import ReadIndex
from consensus.replica import door, recovery
from consensus.replica.apply import Applier
from consensus.replica.reads import Reads, evaluate
from consensus.types import BALLOT_NONE, Ballot

Patch = pytest.MonkeyPatch
Mutation = Callable[[Patch], None]


def _unsynced(patch: Patch, kind: type) -> None:
    send = Context.send

    def at_once(self: Context, to: Any, message: Any, after: int = 0) -> None:
        send(self, to, message, 0 if type(message) is kind else after)

    patch.setattr(Context, "send", at_once)


def promise_only_in_memory(patch: Patch) -> None:
    """1: the promise leaves before it is on the disk."""
    _unsynced(patch, Promise)


def accepted_only_in_memory(patch: Patch) -> None:
    """1: the acceptance leaves before it is on the disk."""
    _unsynced(patch, Accepted)


def own_vote_only_in_memory(patch: Patch) -> None:
    """1: the leader counts its own acceptance before it is on the disk."""
    counted = Leader.on_persisted

    def propose(self: Leader, value: bytes, work: Any = None, traced: bool = False) -> int:
        slot = original(self, value, work, traced)
        synced, self.ctx.synced = self.ctx.synced, self.ctx.position
        counted(self)
        self.ctx.synced = synced
        return slot

    original = Leader.propose
    patch.setattr(Leader, "propose", propose)


def promise_forgotten_at_restart(patch: Patch) -> None:
    """1, 2: a node that starts again has promised nothing but what it accepted."""
    rebuild = recovery.rebuild

    def forgetful(recovered: Any, topology: Any, cluster: Any) -> Any:
        found = rebuild(recovered, topology, cluster)
        accepted = [r.ballot for r in recovered.records if hasattr(r, "ballot") and hasattr(r, "value")]
        return found._replace(promised=max(accepted, default=BALLOT_NONE))

    patch.setattr(door, "rebuild", forgetful)


def minority_decides(patch: Patch) -> None:
    """4: half of the members are enough."""
    patch.setattr(context, "majority", lambda members: max(1, members // 2))


def merged_values_are_chosen(patch: Patch) -> None:
    """5: a new leader takes what it found for chosen."""
    won = door.Replica.won

    def hasty(self: door.Replica, result: Won | None) -> None:
        won(self, result)
        if result is not None and self.leader is not None:
            for slot in result.values:
                entry = self.acceptor.log.get(slot)
                if entry is not None:
                    entry.chosen = True
            self.acceptor.log.advance()

    patch.setattr(door.Replica, "won", hasty)


def values_of_the_quorum_ignored(patch: Patch) -> None:
    """A new leader begins its view with an empty log above its watermark."""
    progress = Election.on_progress

    def empty(self: Election) -> Won | None:
        result = progress(self)
        return None if result is None else result._replace(values={})

    patch.setattr(Election, "on_progress", empty)


def lowest_ballot_wins(patch: Patch) -> None:
    """Of two values for a slot the one of the lower ballot is proposed again."""
    progress = Election.on_progress

    def inverted(self: Election) -> Won | None:
        best: dict[int, SlotValue] = {}
        for parts in self._promises.values():
            for value in [value for part in parts for value in part.entries]:
                if value.slot not in best or value.ballot < best[value.slot].ballot:
                    best[value.slot] = value
        result = progress(self)
        if result is None:
            return None
        return result._replace(values={slot: best[slot] for slot in result.values})

    patch.setattr(Election, "on_progress", inverted)


def commit_by_slot_alone(patch: Patch) -> None:
    """6: whatever was accepted for a slot is chosen when the watermark passes it."""
    judged = Acceptor.on_watermark

    def by_slot(self: Acceptor, ballot: Ballot, watermark: int) -> bool:
        for slot in range(self.log.watermark + 1, watermark + 1):
            entry = self.log.get(slot)
            if entry is None:
                break
            entry.chosen = True
        return judged(self, ballot, watermark)

    patch.setattr(Acceptor, "on_watermark", by_slot)


def gap_repair_tells_accepted_values(patch: Patch) -> None:
    """7: a merely accepted value is copied."""

    def on_fetch(self: Catchup, sender: int, message: Any) -> None:
        log = self.acceptor.log
        values = []
        for slot in range(message.first, message.last + 1):
            entry = log.get(slot)
            if entry is not None and sum(len(v.value) for v in values) < CHUNK_BYTES:
                values.append(SlotValue(slot, entry.ballot, True, entry.value))
        self.ctx.send((sender,), Chosen(log.watermark, log.floor, values))

    patch.setattr(Catchup, "on_fetch", on_fetch)


def accepted_is_chosen(patch: Patch) -> None:
    """25: effects come with the acceptance."""
    accept = Acceptor.accept

    def at_once(self: Acceptor, ballot: Ballot, slot: int, value: bytes, traced: bool = False) -> int:
        position = accept(self, ballot, slot, value, traced)
        entry = self.log.get(slot)
        assert entry is not None
        entry.chosen = True
        self.log.advance()
        return position

    patch.setattr(Acceptor, "accept", at_once)


def gaps_stay(patch: Patch) -> None:
    """8: nobody asks for what is missing."""
    patch.setattr(Catchup, "need", lambda self, target, source: None)


def reads_without_a_round(patch: Patch) -> None:
    """12: whoever takes itself for the leader answers from its state."""
    waiting = Reads.on_read

    def at_once(
        self: Reads, state: BankState, connection: int, message: Any, leads: bool, leader: int, watermark: int
    ) -> None:
        linear = [item for item in message.items if item.level == Level.LINEARIZABLE]
        if leads and linear:
            self._reply(connection, [evaluate(state, item) for item in linear], state)
        else:
            waiting(self, state, connection, message, leads, leader, watermark)

    patch.setattr(Reads, "on_read", at_once)


def reads_join_an_earlier_round(patch: Patch) -> None:
    """33: acknowledgements that were sent before the read count for it."""
    start = ReadIndex.start
    patch.setattr(ReadIndex, "start", lambda self, round: start(self, 0))


def indexes_without_a_round(patch: Patch) -> None:
    """12: whoever takes itself for the leader tells followers what it knows as chosen."""

    def known(self: Reads, sender: int, message: Any, watermark: int) -> None:
        self.ctx.send((sender,), IndexReply(message.nonce, watermark))

    patch.setattr(Reads, "on_query", known)


def indexes_are_not_waited_for(patch: Patch) -> None:
    """A follower that was told the index answers from what it has applied so far."""
    ready = IndexQueries.ready
    patch.setattr(IndexQueries, "ready", lambda self, applied: ready(self, 1 << 60))


def ages_are_not_checked(patch: Patch) -> None:
    """A follower that ever knew how old its state is answers bounded reads."""
    patch.setattr(Freshness, "within", lambda self, age_us, applied: self.since_us is not None)


def ages_count_from_arrival(patch: Patch) -> None:
    """The age counts from when a heartbeat came, as if it had not been under way."""
    heard = Freshness.heard

    def fresh(self: Freshness, beat: Any) -> None:
        heard(self, beat)
        self.since_us, self.slot = self._ctx.now_us, beat.watermark

    patch.setattr(Freshness, "heard", fresh)


def versions_are_not_waited_for(patch: Patch) -> None:
    """Any replica answers a read of the client's own writes."""
    weak = Reads._weak

    def any_version(self: Reads, state: BankState, item: Any, leads: bool) -> bool:
        return item.level == Level.RYW or weak(self, state, item, leads)

    patch.setattr(Reads, "_weak", any_version)


def decisions_are_not_waited_for(patch: Patch) -> None:
    """A read of an account that is prepared here shows the balance before, whatever was decided."""
    patch.setattr(Reads, "_in_doubt", lambda self, state, item: False)


def leases_do_not_end(patch: Patch) -> None:
    """12: who once had a lease keeps it."""
    patch.setattr(Leader, "lease_until_us", property(lambda self: 1 << 61 if self.confirmed_us else 0))


def settled_numbers_run_again(patch: Patch) -> None:
    """15: a late copy of a settled transaction is a new one."""
    patch.setattr(Session, "takes", lambda self, number: True)


def checkpoint_of_a_moving_state(patch: Patch) -> None:
    """10: rows are copied while the state goes on."""
    patch.setattr(StateCapture, "keep", lambda self, account: None)


def gaps_above_the_own_watermark(patch: Patch) -> None:
    """34: a candidate that is behind starts its view at once."""
    progress = Election.on_progress

    def hurried(self: Election) -> Won | None:
        self.target = 0
        return progress(self)

    patch.setattr(Election, "on_progress", hurried)


def lost_disk_votes_on(patch: Patch) -> None:
    """37: a node whose folder is gone takes part as if nothing had been in it."""
    start = Learner.start

    def voter(self: Learner) -> None:
        start(self)
        self.acceptor.learner = False

    patch.setattr(Learner, "start", voter)


def learner_adopts_nothing(patch: Patch) -> None:
    """37: a rebuilt node has the state, and none of its promises."""
    promise = Acceptor.promise

    def forgetful(self: Acceptor, ballot: Ballot, **why: Any) -> int:
        return self.ctx.position if self.learner else promise(self, ballot, **why)

    patch.setattr(Acceptor, "promise", forgetful)


def truncation_of_unchosen_slots(patch: Patch) -> None:
    """40: segments go as if the checkpoint covered the whole log."""
    done = Applier.checkpoint_done

    def greedy(self: Applier, slot: int) -> None:
        done(self, slot)
        if self._replica.ctx.out.truncate_to:
            self._replica.ctx.out.truncate_to = self._replica.acceptor.log.last

    patch.setattr(Applier, "checkpoint_done", greedy)


def lost_accepts_stay_lost(patch: Patch) -> None:
    """8: an Accept is sent once."""
    patch.setattr(Leader, "_resend", lambda self: None)


def accepts_below_the_promise(patch: Patch) -> None:
    """3: an acceptor takes what any leader proposes."""
    accept = Acceptor.on_accept

    def lenient(self: Acceptor, sender: int, message: Any) -> bool:
        promised = self.promised
        if message.ballot < promised and not self.learner:
            self.promised = message.ballot
        taken = accept(self, sender, message)
        self.promised = max(promised, self.promised)
        return taken

    patch.setattr(Acceptor, "on_accept", lenient)


def retries_run_again(patch: Patch) -> None:
    """14: outcomes are not remembered."""
    patch.setattr(Session, "outcomes", property(lambda self: {}, lambda self, value: None))


def leader_stays_without_a_majority(patch: Patch) -> None:
    """4, 12: a leader that hears from nobody goes on leading."""
    patch.setattr(Leader, "_heard_since", lambda self, span_us: True)


def stuck_disk_goes_unnoticed(patch: Patch) -> None:
    """31: a leader whose disk does not answer goes on sending heartbeats."""
    propose = Leader.propose

    def unworried(self: Leader, value: bytes, work: Any = None, traced: bool = False) -> int:
        slot = propose(self, value, work, traced)
        position, own, _ = self._own.pop()
        self._own.append((position, own, 1 << 60))
        return slot

    patch.setattr(Leader, "propose", unworried)


def no_prevote(patch: Patch) -> None:
    """32: whoever hears no leader raises its promise and everybody else's."""
    on_time = Election.on_time

    def eager(self: Election) -> Won | None:
        return on_time(self) or self._prepare()

    patch.setattr(Election, "on_time", eager)


FOUND_BY_SEEDS: dict[Mutation, int] = {
    promise_only_in_memory: 10,
    accepted_only_in_memory: 10,
    own_vote_only_in_memory: 10,
    promise_forgotten_at_restart: 40,
    minority_decides: 10,
    merged_values_are_chosen: 20,
    values_of_the_quorum_ignored: 10,
    lowest_ballot_wins: 150,
    commit_by_slot_alone: 40,
    accepted_is_chosen: 10,
    gaps_stay: 20,
    reads_without_a_round: 20,
    ages_are_not_checked: 60,
    ages_count_from_arrival: 40,
    versions_are_not_waited_for: 40,
    indexes_are_not_waited_for: 60,
    settled_numbers_run_again: 150,
    checkpoint_of_a_moving_state: 40,
    gaps_above_the_own_watermark: 150,
    lost_disk_votes_on: 30,
    learner_adopts_nothing: 150,
    truncation_of_unchosen_slots: 40,
    lost_accepts_stay_lost: 20,
}
"""Mutations that runs of the simulation find, and within how many seeds."""
FIRST_SEED: dict[Mutation, int] = {reads_without_a_round: 141}
"""Where the seeds begin, for one that few find: those before it find nothing, and take half a minute."""
