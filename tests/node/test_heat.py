"""How busy accounts are, as a node counts it: exact, by neighbourhood, in windows."""

from __future__ import annotations

from consensus.messages.client import ReadItem
from consensus.messages.entries import Item
from consensus.node.access import Access
from consensus.node.heat import TOP, Heat
from consensus.trace.events import HEAT_WINDOW_US, heat_bins

SOON = HEAT_WINDOW_US // 2


class Node:
    """The counts of a node with ``accounts`` accounts; a window is open."""

    def __init__(self, accounts: int = 9_000) -> None:
        self.access = Access()
        self.heat = Heat(lambda: self.access, accounts)
        self.now_us = 5 * HEAT_WINDOW_US
        assert self.heat.look(self.now_us, ending=False) is None

    def transfer(self, *accounts: int) -> None:
        legs = [value for account in accounts for value in (account, 0)]
        self.access.submitted([Item(1, tuple(legs))], self.now_us)

    def read(self, *accounts: int) -> None:
        self.access.read([ReadItem(1, accounts)], self.now_us)

    def look(self, after_us: int, *, ending: bool = False) -> dict[str, object] | None:
        self.now_us += after_us
        return self.heat.look(self.now_us, ending)


def test_transfers_transactions_and_reads_are_counted_once_by_neighbourhood() -> None:
    node = Node()
    node.transfer(1, 100)
    assert node.look(SOON) is None
    node.transfer(101, 102, 9_000)
    node.read(1)
    assert node.look(SOON) == {
        "heat": {"0": 3, "1": 2, "89": 1},
        "topk": [[1, 2], [100, 1], [101, 1], [102, 1], [9_000, 1]],
    }
    assert node.look(2 * SOON) is None
    node.transfer(1, 2)
    assert node.look(2 * SOON) == {"heat": {"0": 2}, "topk": [[1, 1], [2, 1]]}


def test_what_was_used_is_told_when_traffic_ends() -> None:
    node = Node()
    node.transfer(1, 2)
    told = node.look(1, ending=True)
    assert told is not None and told["heat"] == {"0": 2}
    assert node.look(1, ending=True) is None


def test_numbers_that_are_no_accounts_are_left_out() -> None:
    node = Node(accounts=9)
    assert heat_bins(9) == 9
    node.transfer(0, 10)
    assert node.look(2 * SOON) is None
    node.transfer(9, 10)
    assert node.look(2 * SOON) == {"heat": {"8": 1}, "topk": [[9, 1]]}


def test_the_busiest_are_named() -> None:
    node = Node()
    for account in range(1, 3 * TOP):
        for _ in range(account):
            node.read(account)
    told = node.look(2 * SOON)
    assert told is not None
    assert told["topk"] == [[account, account] for account in range(3 * TOP - 1, 2 * TOP - 1, -1)]


def test_what_came_before_somebody_watched_is_not_told() -> None:
    node = Node()
    node.transfer(1, 2)
    node.heat.skip()
    assert node.look(2 * SOON) is None


def test_after_a_reset_all_is_counted_anew() -> None:
    node = Node()
    node.transfer(1, 2)
    node.access = Access()
    node.transfer(3, 4)
    assert node.look(2 * SOON) == {"heat": {"0": 2}, "topk": [[3, 1], [4, 1]]}
