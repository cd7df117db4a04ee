"""Who owns an account: the claim with the highest epoch counts, in whatever order claims come."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.shards import ShardMap
from consensus.simulation.config import topology_of

TOPOLOGY = topology_of(nodes=3, accounts=3, balance=1, clusters=3)


@st.composite
def flips(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """(account, cluster, epoch) of several moves of several accounts, many of them at once."""
    epochs: dict[int, int] = {}
    made: list[tuple[int, int, int]] = []
    for account, cluster in draw(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3)), max_size=12)):
        epochs[account] = epochs.get(account, 0) + 1
        made.append((account, cluster, epochs[account]))
    return made


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(made=flips(), data=st.data())
def test_the_order_in_which_flips_are_heard_of_makes_no_difference(
    made: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    inorder, anyhow = ShardMap(TOPOLOGY), ShardMap(TOPOLOGY)
    for flip in made:
        assert inorder.learn(*flip), "each flip has a number that no flip of its account had before"
    heard = data.draw(st.permutations(made)) + data.draw(
        st.lists(st.sampled_from(made), max_size=4) if made else st.just([])
    )
    for flip in heard:
        anyhow.learn(*flip)
    assert anyhow.rows(0, 99) == inorder.rows(0, 99)
    for account in range(1, 10):
        last = max((flip for flip in made if flip[0] == account), key=lambda flip: flip[2], default=None)
        home = TOPOLOGY.home(account)
        assert home is not None
        assert inorder.owner(account) == (last[1] if last else home.id)


def test_hints_go_on_through_all_that_moved_and_begin_again() -> None:
    shards = ShardMap(TOPOLOGY)
    assert shards.hints([1], 2) == ()
    for account in (1, 3, 2, 3):
        shards.learn(account, 3, shards.epoch(account) + 1)
    assert [shards.hints([], 2) for _ in range(3)] == [(1, 3, 1, 3, 3, 2), (2, 3, 1), (1, 3, 1, 3, 3, 2)]
    assert shards.hints([3, 4], 1) == (3, 3, 2, 2, 3, 1), "those that were asked about come first"
    shards.clear()
    assert shards.hints([1], 2) == ()
    shards.learn(2, 3, 1)
    assert shards.hints([], 2) == (2, 3, 1)
