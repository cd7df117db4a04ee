"""Lock queues of a leader: the oldest first, all accounts at once or none, a bounded wait."""

from __future__ import annotations

import pytest

from consensus.txn import waiting as waiting_module
from consensus.txn.waiting import Age, Waiter, Waiting
from consensus.types import TxId


def tx(number: int) -> TxId:
    return TxId(b"s" * 16, number)


class Locks:
    """Locks of the applied state, and the waiting that looks at them."""

    def __init__(self, *held: int) -> None:
        self.held = dict.fromkeys(held, tx(99))
        self.waiting = Waiting(lambda: self.held)

    def enter(self, number: int, *accounts: int, age: int | None = None, deadline: int = 100) -> Waiter:
        made = Waiter(tx(number), accounts, None if age is None else Age(age, tx(number)), deadline, None)
        assert self.waiting.enter(made)
        return made

    def free(self, *accounts: int) -> list[int]:
        """Those that go on when ``accounts`` become free, one after the other."""
        for account in accounts:
            self.held.pop(account, None)
        turns: list[int] = []
        freed = list(accounts)
        while (waiter := self.waiting.turn(freed)) is not None:
            turns.append(waiter.tx.number)
            freed += waiter.accounts
        return turns


def test_an_account_is_free_when_nobody_holds_claims_or_awaits_it() -> None:
    locks = Locks(1)
    waiting = locks.waiting
    waiting.claim((2, 3), Age(5, tx(0)))
    locks.enter(1, 1, 4)
    assert [account for account in range(1, 7) if waiting.free((account,))] == [5, 6]
    assert not waiting.free((5, 4)) and waiting.free((5, 6)) and not waiting.idle()


def test_the_oldest_goes_first_whenever_it_came() -> None:
    """A wish that lost a conflict comes back with the age of its first attempt."""
    locks = Locks(1)
    for number, age in enumerate((30, 10, 20)):
        locks.enter(number, 1, age=age)
    assert locks.free(1) == [1, 2, 0]


def test_the_younger_gives_way_when_an_older_one_gets_what_it_waits_for() -> None:
    locks = Locks(1)
    gone: list[int] = []
    locks.waiting.give_way = lambda waiter: gone.append(waiter.tx.number)
    for number, age, holds in ((0, 10, False), (1, 20, False), (2, 30, True), (3, 5, True)):
        made = Waiter(tx(number), (1, 2), Age(age, tx(number)), 100, None, holds=holds)
        assert locks.waiting.enter(made)
    locks.held.clear()
    for number in (3, 0):
        turn = locks.waiting.turn((1,))
        assert turn is not None and turn.tx.number == number
        locks.waiting.claim(turn.accounts, Age(turn.place.arrived_us, turn.tx))
        locks.waiting.unclaim(turn.accounts, turn.tx)
        assert gone == [2], "it holds locks elsewhere; the one that holds nothing stays"
    assert list(locks.waiting.waiting) == [tx(1)]


def test_idle_means_that_no_account_can_be_busy() -> None:
    locks = Locks()
    waiting = locks.waiting
    assert waiting.idle()
    locks.held[1] = tx(9)
    assert not waiting.idle()
    locks.held.clear()
    waiting.claim((1,), Age(5, tx(0)))
    assert not waiting.idle()
    waiting.unclaim((1,), tx(0))
    waiter = locks.enter(1, 1)
    assert not waiting.idle()
    waiting.leave(waiter)
    assert waiting.idle()


def test_an_account_is_claimed_once_and_given_back_by_its_claimer() -> None:
    waiting = Locks().waiting
    waiting.claim((1, 2), Age(5, tx(0)))
    with pytest.raises(AssertionError):
        waiting.claim((2,), Age(6, tx(1)))
    waiting.unclaim((1, 2, 7), tx(1))
    assert set(waiting.claims) == {1, 2}
    waiting.unclaim((1, 2), tx(0))
    assert waiting.claims == {}


def test_waiters_of_an_account_go_on_in_arrival_order() -> None:
    locks = Locks(1)
    for number in range(4):
        locks.enter(number, 1)
    assert locks.free() == []
    assert locks.free(1) == [0, 1, 2, 3]
    assert not locks.waiting.waiting and locks.waiting.idle()


def test_one_turn_at_a_time_so_that_its_claims_are_seen() -> None:
    locks = Locks(1)
    locks.enter(0, 1)
    locks.enter(1, 1)
    locks.held.clear()
    first = locks.waiting.turn((1,))
    assert first is not None and first.tx == tx(0)
    locks.waiting.claim((1,), Age(1, first.tx))
    assert locks.waiting.turn((1,)) is None
    locks.waiting.unclaim((1,), first.tx)
    assert locks.free(1) == [1]


def test_all_accounts_or_none() -> None:
    locks = Locks(1, 2)
    locks.enter(0, 1, 2)
    assert locks.free(1) == [], "one of two is not enough, and the free one is not taken"
    assert 1 not in locks.waiting.claims
    assert locks.free(2) == [0]


def test_nobody_overtakes_on_an_account_that_somebody_waits_for() -> None:
    locks = Locks(1)
    locks.enter(0, 1, 2)
    locks.enter(1, 2)
    assert locks.free(2) == [], "account 2 is free, but the first one in its queue needs 1, too"
    assert locks.free(1) == [0, 1]


def test_a_waiter_that_leaves_makes_room_for_those_behind() -> None:
    locks = Locks(1)
    first = locks.enter(0, 1, 2)
    locks.enter(1, 2, 3)
    locks.enter(2, 3)
    locks.waiting.leave(first)
    assert locks.free(1, 2) == [1, 2]


def test_the_wait_ends_at_its_deadline() -> None:
    locks = Locks(1)
    assert locks.waiting.wake_us() == 0
    for number, deadline in enumerate((100, 100, 150)):
        locks.enter(number, 1, deadline=deadline)
    assert locks.waiting.wake_us() == 100
    assert locks.waiting.expired(99) == []
    assert [w.tx.number for w in locks.waiting.expired(100)] == [0, 1]
    assert locks.waiting.wake_us() == 150
    assert locks.free(1) == [2]


def test_ages_of_those_ahead_that_hold_locks_elsewhere() -> None:
    locks = Locks(1)
    locks.enter(0, 1, 2, age=7)
    locks.enter(1, 1)
    assert locks.waiting.ahead((1,)) == [Age(7, tx(0))], "a transaction of one cluster holds nothing"
    assert locks.waiting.ahead((3,)) == []
    assert Age(7, tx(0)) < Age(7, tx(1)) < Age(8, tx(0)), "earlier is older, then the TxId decides"


def test_waiters_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "WAITERS_MAX", 2)
    locks = Locks(1)
    locks.enter(0, 1)
    locks.enter(1, 1)
    assert not locks.waiting.enter(Waiter(tx(2), (1, 5), None, 100, None))
    assert locks.waiting.free((5,)), "the one that was not let in left nothing behind"


def test_a_tx_id_waits_once() -> None:
    locks = Locks(1)
    locks.enter(0, 1)
    assert not locks.waiting.enter(Waiter(tx(0), (1, 2), None, 100, None))
    assert locks.free(1) == [0] and locks.waiting.idle()


def test_clearing_gives_back_who_waited() -> None:
    locks = Locks(1)
    first, second = locks.enter(0, 1), locks.enter(1, 1, 2)
    locks.waiting.claim((7,), Age(1, tx(5)))
    assert locks.waiting.clear() == [first, second]
    assert locks.waiting.free((2, 7)) and locks.waiting.wake_us() == 0
