"""Two clusters of two replicas and a naive bank: transactions, retries, prepares, decisions in any order.

The client is a careless one: it uses the same few numbers for different wishes, at both coordinators. Even
then no balance may fall below zero, no money appear or vanish, no number have two outcomes.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from consensus.bank.audit import report, total
from consensus.bank.machine import Applied, Machine, Result
from consensus.bank.state import BankState
from consensus.bank.twophase import CrossPrepared, PartPrepared
from consensus.messages.client import Outcome, Refusal, Status
from consensus.messages.entries import (
    Abort,
    Condition,
    CrossItem,
    CrossPrepare,
    Decide,
    DecideRow,
    Entry,
    Finish,
    Item,
    OpenSession,
    PartDecide,
    PartPrepare,
    Resolve,
    Transact,
)
from consensus.messages.rows import decode_rows, encode_rows
from consensus.messages.txn import MOVED, DecisionRow, PrepareRow, TxRow
from consensus.types import ClusterId, SessionId, Slot, TxId
from tests.bank.batches import ALICE, BOB, apply_to_both, replicated, rows_of
from tests.bank.naive import NaiveBank

EACH = 3
"""Accounts of a cluster."""
ACCOUNTS = 2 * EACH
MONEY = 50

CLUSTER = st.sampled_from((1, 2))
TX = st.builds(TxId, st.sampled_from((ALICE, BOB)), st.integers(0, 30))
ACCOUNT = st.integers(1, ACCOUNTS)
ANY_ACCOUNT = st.integers(1, ACCOUNTS + 1)
AMOUNT = st.integers(1, 25) | st.integers(-25, 80)
Leg = tuple[int, int]
Wishes = list[tuple[int, int, int]]


@st.composite
def payments(draw: st.DrawFn, accounts: st.SearchStrategy[int]) -> list[Leg]:
    """Legs that sum to zero, most of them on distinct accounts."""
    ids = draw(st.lists(accounts, min_size=2, max_size=3, unique=draw(st.integers(0, 9)) > 0))
    deltas = [draw(AMOUNT) for _ in ids[1:]]
    return list(zip(ids, [-sum(deltas), *deltas], strict=True))


@st.composite
def wishes(draw: st.DrawFn, legs: list[Leg]) -> Wishes:
    """Conditions on some of the legs' accounts."""
    account = st.sampled_from([account for account, _ in legs])
    at_least = st.tuples(account, st.just(Condition.BALANCE_AT_LEAST), st.integers(0, 70))
    equals = st.tuples(account, st.just(Condition.VERSION_EQUALS), st.integers(0, 3))
    return draw(st.lists(at_least | equals, max_size=1))


def flat(rows: list[Any]) -> tuple[int, ...]:
    return tuple(chain.from_iterable(rows))


def home(account: int) -> ClusterId:
    return 1 if account <= EACH else 2


class TwoClusters(RuleBasedStateMachine):
    """Rules draw what happens next; every one applies a slot in one cluster."""

    def __init__(self) -> None:
        super().__init__()
        self.replicas = replicated(EACH, MONEY)
        self.naive: dict[ClusterId, NaiveBank] = {}
        self.known: dict[tuple[ClusterId, TxId], Outcome] = {}
        self.asked: list[tuple[ClusterId, ClusterId, PrepareRow]] = []
        """(coordinator, participant, row) of every prepare that was ever sent; any may arrive at any time."""
        self.votes: dict[tuple[ClusterId, TxId, Slot], int] = {}
        self.told: list[tuple[ClusterId, ClusterId, DecisionRow]] = []
        self.acked: set[tuple[ClusterId, TxId, Slot]] = set()
        for cluster in (1, 2):
            first, last = (1, EACH) if cluster == 1 else (EACH + 1, ACCOUNTS)
            self.naive[cluster] = NaiveBank(cluster, first, last, ACCOUNTS, MONEY)
            self.apply(cluster, OpenSession(ALICE), OpenSession(BOB))

    # --- applying ----------------------------------------------------------------------

    def apply(self, cluster: ClusterId, *entries: Entry) -> list[Result]:
        """The same batch on both replicas, which must do the same with it."""
        results = apply_to_both(self.replicas[cluster], *entries)
        for result in results:
            if isinstance(result, Applied):
                for number, outcome in zip(result.numbers, result.outcomes, strict=True):
                    tx = TxId(result.session, number)
                    assert self.known.setdefault((cluster, tx), outcome) == outcome, "a second outcome"
        return results

    def one(self, cluster: ClusterId, entry: Entry) -> tuple[int | None, Refusal | None]:
        """(status, refusal) of an entry about one transaction."""
        result = self.apply(cluster, entry)[0]
        assert isinstance(result, Applied)
        status = result.outcomes[0].status if result.outcomes else None
        return status, result.refused[0][1] if result.refused else None

    # --- within a cluster ----------------------------------------------------------------

    @rule(cluster=CLUSTER, tx=TX, data=st.data())
    def transact(self, cluster: ClusterId, tx: TxId, data: st.DataObject) -> None:
        own = st.integers(1, EACH).map(lambda n: n + (cluster - 1) * EACH)
        legs = data.draw(payments(own) | payments(own) | payments(ANY_ACCOUNT))
        conditions = data.draw(wishes(legs))
        entry = Transact(tx.session, 0, [Item(tx.number, flat(legs), flat(conditions))])
        assert self.one(cluster, entry) == self.naive[cluster].transact(tx, legs, conditions)

    @rule(cluster=CLUSTER, session=st.sampled_from((ALICE, BOB)), below=st.integers(0, 2))
    def settle(self, cluster: ClusterId, session: SessionId, below: int) -> None:
        self.apply(cluster, Transact(session, below, []))
        self.naive[cluster].settle(session, below)

    @rule(cluster=CLUSTER, tx=TX, resolve=st.booleans(), seldom=st.integers(0, 3))
    def give_up(self, cluster: ClusterId, tx: TxId, resolve: bool, seldom: int) -> None:
        if seldom:
            return
        reason = Status.COORDINATOR_TIMEOUT if resolve else Status.LOCK_TIMEOUT
        entry = Resolve(tx.session, [tx.number]) if resolve else Abort(tx.session, tx.number, reason)
        assert self.one(cluster, entry) == self.naive[cluster].give_up(tx, reason)

    # --- across --------------------------------------------------------------------------

    @rule(tx=TX, data=st.data())
    def cross_prepare(self, tx: TxId, data: st.DataObject) -> None:
        legs = data.draw(payments(ACCOUNT).filter(lambda legs: len({home(a) for a, _ in legs}) == 2))
        conditions = data.draw(wishes(legs))
        cluster = home(legs[0][0])
        other = 3 - cluster
        homes = tuple(home(account) for account, _ in legs)
        item = CrossItem(tx.number, 1, flat(legs), homes, flat(conditions))
        naive = self.naive[cluster]
        known = tx in naive.outcomes
        held = naive.prepared.get(tx)
        before = held is not None and held[0] == cluster and not known
        refusal = None
        if held is not None and not known and not before:
            refusal = Refusal.MIGRATING
        elif not known and not before:
            refusal = naive.may_run(tx)
            if refusal is None and tx in self.replicas[cluster][0].state.cross.unfinished:
                # An attempt was taken back, and the participant does not know yet.
                refusal = Refusal.MIGRATING
        answer, prepared, *_ = self.apply(cluster, CrossPrepare(tx.session, 0, [item]))
        slot = self.replicas[cluster][0].state.slot
        assert isinstance(answer, Applied) and isinstance(prepared, CrossPrepared)
        if known or refusal is not None or before:
            assert bool(answer.numbers) == known and bool(prepared.prepared) == before
            assert [reason for _, reason in answer.refused] == ([] if refusal is None else [refusal])
            return
        malformed = naive._shape(legs) is not None
        own_legs = [leg for leg in legs if home(leg[0]) == cluster]
        own_wishes = [wish for wish in conditions if home(wish[0]) == cluster]
        expected = Status.INVALID if malformed else naive.prepare(cluster, tx, slot, own_legs, own_wishes)
        if expected == "locked":
            assert prepared.locked and not prepared.prepared and not answer.numbers
        elif expected == 0:
            assert prepared.prepared == [tx] and not answer.numbers
            their_legs = flat([leg for leg in legs if home(leg[0]) == other])
            their_wishes = flat([wish for wish in conditions if home(wish[0]) == other])
            row = PrepareRow(tx.session, tx.number, slot, 1, their_legs, their_wishes)
            self.asked.append((cluster, other, row))
        else:
            assert [outcome.status for outcome in answer.outcomes] == [expected]
            assert isinstance(expected, int)
            naive.outcomes[tx] = expected
            self.told.append((cluster, other, DecisionRow(tx.session, tx.number, slot, False)))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def a_prepare_arrives(self, data: st.DataObject) -> None:
        coordinator, cluster, row = data.draw(st.sampled_from(self.asked))
        tx = TxId(row.session, row.number)
        naive = self.naive[cluster]
        result = self.apply(cluster, PartPrepare(coordinator, self.below(coordinator), [row]))[0]
        assert isinstance(result, PartPrepared)
        state = self.replicas[cluster][0].state
        if (held := naive.prepared.get(tx)) is not None:
            # Another coordinator's attempt, or one with other legs here, is over first (ADR 21).
            same = held[0] == coordinator and flat(held[2]) == row.legs
            expected: int | str = 0 if same else MOVED
            if same:
                naive.prepared[tx] = (held[0], max(held[1], row.at), held[2])
        elif row.at < state.cross.finished_below.get(coordinator, 0) or naive.is_over(
            tx, coordinator, row.at
        ):
            assert not result.votes and not result.locked
            return
        else:
            legs = list(zip(row.legs[::2], row.legs[1::2], strict=True))
            conditions = list(zip(*[iter(row.conditions)] * 3, strict=True))
            expected = naive.prepare(coordinator, tx, row.at, legs, conditions)
        if expected == "locked":
            assert result.locked == [row] and not result.votes
            return
        (vote,) = result.votes
        assert vote.status == expected
        self.votes.setdefault((coordinator, tx, vote.at), vote.status)

    @rule(cluster=CLUSTER, wait=st.booleans(), data=st.data())
    def decide(self, cluster: ClusterId, wait: bool, data: st.DataObject) -> None:
        """By the vote if there is one; without one only an abort, after a while."""
        naive = self.naive[cluster]
        mine = [tx for tx, held in naive.prepared.items() if held[0] == cluster]
        if not mine:
            return
        tx = data.draw(st.sampled_from(mine))
        at = naive.prepared[tx][1]
        vote = self.votes.get((cluster, tx, at))
        if vote is None and wait:
            return
        status = Status.PARTICIPANT_UNAVAILABLE if vote is None else vote
        self.apply(cluster, Decide([DecideRow(tx.session, tx.number, status)]))
        naive.decide(tx, commit=not status)
        if status != MOVED and tx.number >= naive.settled.get(tx.session, 0):
            naive.outcomes[tx] = status
        self.told.append((cluster, 3 - cluster, DecisionRow(tx.session, tx.number, at, not status)))
        again = self.apply(cluster, Decide([DecideRow(tx.session, tx.number, 0 if status else 5)]))
        assert all(not getattr(result, "decided", None) for result in again), "the first decision counts"

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def a_decision_arrives(self, data: st.DataObject) -> None:
        coordinator, cluster, row = data.draw(st.sampled_from(self.told))
        tx = TxId(row.session, row.number)
        naive = self.naive[cluster]
        self.apply(cluster, PartDecide(coordinator, self.below(coordinator), [row]))
        if (held := naive.prepared.get(tx)) is not None and held[0] == coordinator:
            if row.at < held[1]:
                return  # of an earlier attempt: it says nothing of this one
            naive.decide(tx, row.commit)
        ended = self.replicas[cluster][0].state.cross.finished.items()
        naive.finished = {TxId(s, n): (end.coordinator, end.at, end.commit) for (s, n), end in ended}
        if (coordinator, tx, row.at) not in self.acked:
            self.acked.add((coordinator, tx, row.at))
            self.apply(coordinator, Finish([TxRow(tx.session, tx.number, row.at)]))

    def below(self, coordinator: ClusterId) -> Slot:
        """What the coordinator's leader says is finished, now."""
        state = self.replicas[coordinator][0].state
        return state.cross.own_finished_below(state.slot + 1)

    # --- replicas --------------------------------------------------------------------------

    @rule(cluster=CLUSTER)
    def a_replica_takes_the_state_over(self, cluster: ClusterId) -> None:
        rows = decode_rows(encode_rows(rows_of(self.replicas[cluster][0].state)))
        self.replicas[cluster][1] = Machine(BankState.restore(rows), cluster)

    # --- always ----------------------------------------------------------------------------

    @invariant()
    def money_is_neither_made_nor_lost(self) -> None:
        reports = [report(self.replicas[cluster][0].state, cluster, 1) for cluster in (1, 2)]
        assert total(reports)[0] == ACCOUNTS * MONEY

    @invariant()
    def everybody_agrees(self) -> None:
        for cluster, (first, second) in self.replicas.items():
            state, naive = first.state, self.naive[cluster]
            assert state.digest() == second.state.digest()
            assert {a.id: a.balance for a in state.accounts.values()} == naive.balance
            assert {a.id: a.version for a in state.accounts.values()} == naive.version
            assert state.cross.locks == naive.holder and set(state.cross.undo) == set(naive.holder)
            assert min(naive.balance.values()) >= 0
            held = {
                TxId(s, n): o.status for s in state.sessions for n, o in state.sessions[s].outcomes.items()
            }
            assert held == naive.outcomes


def test_two_clusters_under_a_careless_client() -> None:
    run_state_machine_as_test(
        TwoClusters,
        settings=settings(
            max_examples=200, stateful_step_count=50, deadline=None, derandomize=True, database=None
        ),
    )
