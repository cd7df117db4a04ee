"""Two clusters whose accounts move back and forth, and a client that is answered late or never.

Every message of a migration, and every request of the client, may arrive at any time and again. Whatever
happens, a transaction runs once, an account has at most one owner, and every balance is what the
transactions that ran have made of it.
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
from consensus.bank.movement import Arrived, Left, Taken, accounts_of, sessions_of
from consensus.bank.moves import Phase
from consensus.bank.state import BankState
from consensus.messages.client import Outcome, Status
from consensus.messages.entries import (
    Abort,
    Audit,
    Entry,
    EvictSessions,
    Item,
    MoveActivate,
    MoveDrop,
    MoveFinish,
    MoveFlip,
    MoveInstall,
    MovePrepare,
    MoveReserve,
    MoveRollback,
    OpenSession,
    Resolve,
    Transact,
)
from consensus.messages.migration import Step
from consensus.types import ClusterId, Slot
from tests.bank.batches import ALICE, apply_to_both, replicated, rows_of

EACH = 3
ACCOUNTS = 2 * EACH
MONEY = 50
CHUNK_BYTES = 100
CLUSTER = st.sampled_from((1, 2))
PLAN = b"p" * 16


def home(account: int) -> ClusterId:
    return 1 if account <= EACH else 2


class MovingAccounts(RuleBasedStateMachine):
    """Rules draw what happens next; every one applies a slot in one cluster."""

    def __init__(self) -> None:
        super().__init__()
        self.replicas = replicated(EACH, MONEY)
        self.balances = dict.fromkeys(range(1, ACCOUNTS + 1), MONEY)
        """What the transactions that ran have made of them."""
        self.ever = {account: {home(account)} for account in self.balances}
        """The clusters that a client may take for the owner: they were, once."""
        self.legs: list[tuple[int, ...]] = []
        """By number, of the client's transactions."""
        self.ended: dict[int, Outcome] = {}
        self.answered: set[int] = set()
        self.forgotten: set[tuple[ClusterId, int]] = set()
        """Where an outcome went with an evicted session. Only another owner of the payer may run it again."""
        self.requests: list[tuple[ClusterId, Entry]] = []
        self.mail: list[tuple[ClusterId, Entry]] = []
        """What sources have said to destinations."""
        self.told: dict[ClusterId, Slot] = {1: 0, 2: 0}
        """By source: up to which slot the other cluster knows what is settled there."""
        self.contents: dict[tuple[ClusterId, int], Slot] = {}
        self.parts = 0
        self.cuts = 0
        for cluster in (1, 2):
            self.apply(cluster, OpenSession(ALICE))

    def state(self, cluster: ClusterId) -> BankState:
        return self.replicas[cluster][0].state

    # --- applying ----------------------------------------------------------------------

    def apply(self, cluster: ClusterId, *entries: Entry) -> list[Result]:
        """The same batch on both replicas, which must do the same with it."""
        results = apply_to_both(self.replicas[cluster], *entries)
        for result in results:
            if isinstance(result, Applied):
                for number, outcome in zip(result.numbers, result.outcomes, strict=True):
                    self.ran(cluster, self.state(cluster).slot, number, outcome)
            elif isinstance(result, Taken):
                self.taken(cluster, result)
            elif isinstance(result, Left):
                self.left(cluster, result)
            elif isinstance(result, Arrived):
                self.arrived(cluster, result)
        return results

    def ran(self, cluster: ClusterId, slot: Slot, number: int, outcome: Outcome) -> None:
        if not self.forgotten & {(1, number), (2, number)}:
            assert self.ended.setdefault(number, outcome) == outcome, f"{number} has a second outcome"
        fresh = outcome.slot == slot and outcome.ballot.node == cluster
        assert not fresh or (cluster, number) not in self.forgotten, f"{number} runs here again"
        if fresh and outcome.status == Status.COMMITTED:
            for account, delta in zip(self.legs[number][::2], self.legs[number][1::2], strict=True):
                self.balances[account] += delta

    # --- client ------------------------------------------------------------------------

    @property
    def settled_below(self) -> int:
        return next((n for n in range(len(self.legs)) if n not in self.answered), len(self.legs))

    def ask(self, cluster: ClusterId, entry: Entry, heard: bool) -> None:
        self.requests.append((cluster, entry))
        for result in self.apply(cluster, entry):
            if heard and isinstance(result, Applied):
                self.answered.update(result.numbers)

    def owners(self, number: int) -> list[ClusterId]:
        return sorted(self.ever[self.payer(number)])

    def payer(self, number: int) -> int:
        legs = self.legs[number]
        return next(account for account, delta in zip(legs[::2], legs[1::2], strict=True) if delta < 0)

    @precondition(lambda self: any(len(self.state(cluster).accounts) > 1 for cluster in (1, 2)))
    @rule(amount=st.integers(1, 40), heard=st.booleans(), data=st.data())
    def pay(self, amount: int, heard: bool, data: st.DataObject) -> None:
        """From one account of a cluster to another; sent there, or to where the payer was before."""
        owned = [sorted(self.state(cluster).accounts) for cluster in (1, 2)]
        accounts = data.draw(st.sampled_from([some for some in owned if len(some) > 1]))
        payer, payee = data.draw(st.permutations(accounts))[:2]
        self.legs.append((payer, -amount, payee, amount))
        self.again(data, len(self.legs) - 1, heard)

    @precondition(lambda self: self.settled_below < len(self.legs))
    @rule(heard=st.booleans(), data=st.data())
    def retry(self, heard: bool, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([n for n in range(len(self.legs)) if n not in self.answered]))
        self.again(data, number, heard)

    def again(self, data: st.DataObject, number: int, heard: bool) -> None:
        cluster = data.draw(st.sampled_from(self.owners(number)))
        self.ask(cluster, Transact(ALICE, self.settled_below, [Item(number, self.legs[number], ())]), heard)

    @precondition(lambda self: self.settled_below < len(self.legs))
    @rule(heard=st.booleans(), resolve=st.booleans(), data=st.data())
    def give_up(self, heard: bool, resolve: bool, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([n for n in range(len(self.legs)) if n not in self.answered]))
        payer = self.payer(number)
        cluster = data.draw(st.sampled_from(self.owners(number)))
        entry = Resolve(ALICE, [number], (payer,))
        self.ask(cluster, entry if resolve else Abort(ALICE, number, Status.LOCK_TIMEOUT, payer), heard)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def a_request_comes_late(self, data: st.DataObject) -> None:
        self.apply(*data.draw(st.sampled_from(self.requests)))

    @rule(cluster=CLUSTER, seldom=st.integers(0, 5))
    def evict(self, cluster: ClusterId, seldom: int) -> None:
        """Its client goes on asking, and is refused; it does not open the session again."""
        session = self.state(cluster).sessions.get(ALICE)
        if session is not None and not seldom:
            self.forgotten.update((cluster, number) for number in session.outcomes)
            self.apply(cluster, EvictSessions([ALICE]))

    # --- source ------------------------------------------------------------------------

    @rule(
        cluster=CLUSTER,
        accounts=st.lists(st.integers(1, ACCOUNTS), min_size=1, max_size=3),
        steps=st.sampled_from((0, 1, 2, 3, 4, 4, 4, 4)),
    )
    def move(self, cluster: ClusterId, accounts: list[int], steps: int) -> None:
        """As far as ``steps`` says at once; what is left to do may come later, or never."""
        self.parts += 1
        taken = self.apply(cluster, MovePrepare(PLAN, self.parts, 3 - cluster, tuple(accounts)))[0]
        assert isinstance(taken, Taken)
        if not taken.answer.taken:
            return
        reserve, install = self.mail[-2:]
        if steps > 0:
            self.apply(*reserve)
        if steps > 1:
            self.apply(*install)
        if steps > 2:
            self.flip_batch(cluster, taken.answer.number)
        if steps > 3:
            self.apply(*self.mail[-1])

    def taken(self, cluster: ClusterId, taken: Taken) -> None:
        number = taken.answer.number
        if taken.answer.taken:
            self.tell_contents(cluster, number)

    def tell_contents(self, cluster: ClusterId, number: int) -> None:
        state = self.state(cluster)
        self.contents[cluster, number] = state.slot
        chunks = sessions_of(state, number, CHUNK_BYTES, self.told[cluster]) or [[]]
        self.tell(cluster, MoveReserve(cluster, number, state.moves.below))
        # A source sends a chunk when the one before is applied, so they come in order, in one entry here.
        accounts = accounts_of(state, number)
        self.tell(cluster, MoveInstall(cluster, number, accounts, list(chain.from_iterable(chunks))))

    def tell(self, cluster: ClusterId, entry: Entry) -> None:
        self.mail.append((3 - cluster, entry))

    def under_way(self, phase: Phase) -> list[tuple[ClusterId, int]]:
        return [
            (cluster, number)
            for cluster in (1, 2)
            for number, batch in self.state(cluster).moves.batches.items()
            if batch.phase == phase
        ]

    @precondition(lambda self: self.under_way(Phase.TAKEN))
    @rule(data=st.data())
    def a_new_leader_tells_anew(self, data: st.DataObject) -> None:
        cluster, number = data.draw(st.sampled_from(self.under_way(Phase.TAKEN)))
        self.told[cluster] = 0
        self.tell_contents(cluster, number)

    @precondition(lambda self: self.under_way(Phase.TAKEN))
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        cluster, number = data.draw(st.sampled_from(self.under_way(Phase.TAKEN)))
        self.apply(cluster, MoveRollback(number))

    @precondition(lambda self: self.under_way(Phase.TAKEN))
    @rule(data=st.data())
    def flip(self, data: st.DataObject) -> None:
        """Once the destination has said that the batch is installed."""
        self.flip_batch(*data.draw(st.sampled_from(self.under_way(Phase.TAKEN))))

    def flip_batch(self, cluster: ClusterId, number: int) -> None:
        if self.state(3 - cluster).moves.step((cluster, number)) == Step.INSTALLED:
            self.told[cluster] = max(self.told[cluster], self.contents[cluster, number])
            self.apply(cluster, MoveFlip(number))

    def left(self, cluster: ClusterId, left: Left) -> None:
        below = self.state(cluster).moves.below
        ends: Any = MoveActivate if left.phase == Phase.FLIPPED else MoveDrop
        self.tell(cluster, ends(cluster, left.number, below))

    # --- destination -------------------------------------------------------------------

    @precondition(lambda self: self.mail)
    @rule(data=st.data())
    def a_message_arrives(self, data: st.DataObject) -> None:
        """Mostly one of the last, and any of them may come again."""
        late = data.draw(st.integers(0, 5)) == 0
        cluster, entry = data.draw(st.sampled_from(self.mail if late else self.mail[-4:]))
        self.apply(cluster, entry)

    def arrived(self, cluster: ClusterId, arrived: Arrived) -> None:
        for account in arrived.accounts:
            self.ever[account].add(cluster)
        source, number = arrived.source, arrived.number
        over = arrived.step in (Step.ACTIVE, Step.DROPPED)
        if over and number in self.state(source).moves.batches:
            self.apply(source, MoveFinish([number]))

    # --- a replica, an audit ---------------------------------------------------------------

    @rule(cluster=CLUSTER)
    def a_replica_starts_from_rows_and_an_audit_adds_up(self, cluster: ClusterId) -> None:
        first, _ = self.replicas[cluster]
        self.replicas[cluster][1] = Machine(BankState.restore(rows_of(first.state)), cluster)
        self.cuts += 1
        for cluster in (1, 2):
            self.apply(cluster, Audit(self.cuts))
        reports = [report(self.state(cluster), cluster, self.cuts) for cluster in (1, 2)]
        assert total(reports)[0] == MONEY * ACCOUNTS

    # --- always ----------------------------------------------------------------------------

    @invariant()
    def accounts_have_one_owner_and_hold_what_ran(self) -> None:
        if not self.replicas:
            return
        owned = {account: a.balance for c in (1, 2) for account, a in self.state(c).accounts.items()}
        assert sum(len(self.state(c).accounts) for c in (1, 2)) == len(owned), "an account with two owners"
        for cluster in (1, 2):
            for (source, number), batch in self.state(cluster).moves.incoming.items():
                leaving = self.state(source).moves.batches.get(number)
                if leaving is not None and leaving.phase == Phase.FLIPPED:
                    owned.update({moved.id: moved.balance for moved in batch.accounts})
        assert owned == self.balances

    @invariant()
    def replicas_agree(self) -> None:
        for first, second in self.replicas.values():
            assert first.state.digest() == second.state.digest()


def test_accounts_move_under_a_client_that_is_answered_late() -> None:
    run_state_machine_as_test(
        MovingAccounts,
        settings=settings(
            max_examples=300, stateful_step_count=60, deadline=None, derandomize=True, database=None
        ),
    )
