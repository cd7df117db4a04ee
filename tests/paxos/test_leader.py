"""One leadership alone: what it proposes, when a slot counts as chosen, what it sends again, when it ends."""

from __future__ import annotations

import msgspec
import pytest

from consensus.effects import Append, Outputs, Send
from consensus.messages.paxos import Accept, Accepted, Commit, Heartbeat, HeartbeatAck, NewViewNotice
from consensus.messages.records import AcceptedValue
from consensus.paxos.acceptor import Acceptor
from consensus.paxos.context import Context
from consensus.paxos.leader import ASK_EVERY, Leader
from consensus.paxos.log import Log
from consensus.topology_file import generate
from consensus.types import Ballot, Slot

B1, B2 = Ballot(1, 1), Ballot(2, 1)
MS = 1_000


def node_1(nodes: int = 3, chosen: int = 0) -> Leader:
    """Node 1 leads ballot (2, 1); slots ``1..chosen`` are chosen."""
    ctx = Context(1, generate(1, nodes), seed=1)
    ctx.now_us = 1_000_000
    log = Log(0)
    for slot in range(1, chosen + 1):
        log.learn(slot, B1, b"chosen")
    log.advance()
    return Leader(ctx, Acceptor(ctx, log, B2, learner=False), B2)


def outputs(leader: Leader) -> Outputs:
    """Everything that came out since the last call."""
    out, leader.ctx.out = leader.ctx.out, Outputs()
    return out


def sends(leader: Leader, kind: type) -> list[Send]:
    return [send for send in outputs(leader).sends if type(send.message) is kind]


def sync(leader: Leader) -> bool:
    """All records are on disk."""
    leader.ctx.synced = leader.ctx.position
    return leader.on_persisted()


def watermark(leader: Leader) -> Slot:
    return leader.acceptor.log.watermark


def chosen_one(leader: Leader, value: bytes = b"v") -> Slot:
    """Propose a value and have it chosen by nodes 1 and 2."""
    slot = leader.propose(value)
    sync(leader)
    leader.on_accepted(2, Accepted(B2, slot))
    return slot


def pass_time(leader: Leader, ms: float, acking: tuple[int, ...] = ()) -> bool:
    """Let time go by, timer by timer; ``acking`` answer each heartbeat at once. Returns what on_time does."""
    ctx = leader.ctx
    end = ctx.now_us + int(ms * MS)
    while leader.wake_us() <= end:
        ctx.now_us = max(ctx.now_us, leader.wake_us())
        if not leader.on_time():
            return False
        for node in acking:
            leader.on_heartbeat_ack(node, HeartbeatAck(B2, leader.round, 0, 0))
    ctx.now_us = end
    return True


# --- proposing -------------------------------------------------------------------


def test_only_the_node_of_a_promised_ballot_leads_it() -> None:
    leader = node_1()
    for ballot in (Ballot(2, 2), Ballot(3, 1)):
        with pytest.raises(AssertionError):
            Leader(leader.ctx, leader.acceptor, ballot)


def test_a_value_goes_out_before_the_own_disk_has_it_and_each_slot_is_given_once() -> None:
    leader = node_1(chosen=4)
    assert [leader.propose(b"a"), leader.propose(b"b")] == [5, 6]
    out = outputs(leader)
    assert out.persist == [
        Append(AcceptedValue(B2, 5, b"a", 4), 5),
        Append(AcceptedValue(B2, 6, b"b", 4), 6),
    ]
    assert out.sends == [Send((2, 3), Accept(B2, 5, 4, b"a"), 0), Send((2, 3), Accept(B2, 6, 4, b"b"), 0)]


def test_a_log_truncated_above_its_entries_goes_on_after_the_floor() -> None:
    leader = node_1()
    leader.acceptor.log.jump(50)
    assert Leader(leader.ctx, leader.acceptor, B2).propose(b"v") == 51


def test_the_new_view_names_the_slots_it_proposes_again() -> None:
    leader = node_1(chosen=3)
    leader.announce(4, 7)
    assert outputs(leader).sends == [Send((2, 3), NewViewNotice(B2, 3, 4, 7), 0)]


def test_the_proposer_gets_its_work_back_once() -> None:
    leader = node_1()
    slot = leader.propose(b"v", work="mine")
    proposal = leader.take(slot)
    assert proposal is not None and proposal.work == "mine"
    assert leader.take(slot) is None


# --- counting ----------------------------------------------------------------------


def test_a_majority_of_the_configured_members_chooses_a_slot() -> None:
    leader = node_1(nodes=5)
    slot = leader.propose(b"v")
    sync(leader)
    assert not leader.on_accepted(2, Accepted(B2, slot))
    assert watermark(leader) == 0
    assert leader.on_accepted(3, Accepted(B2, slot))
    assert watermark(leader) == slot


def test_the_own_acceptance_counts_only_when_it_is_on_disk() -> None:
    leader = node_1()
    first, second = leader.propose(b"a"), leader.propose(b"b")
    for slot in (first, second):
        assert not leader.on_accepted(2, Accepted(B2, slot))
    leader.ctx.synced = 1
    assert leader.on_persisted() and watermark(leader) == first
    leader.ctx.synced = 2
    assert leader.on_persisted() and watermark(leader) == second


def test_a_majority_of_others_chooses_a_slot_without_the_own_disk() -> None:
    leader = node_1()
    slot = leader.propose(b"v")
    leader.on_accepted(2, Accepted(B2, slot))
    assert leader.on_accepted(3, Accepted(B2, slot)) and watermark(leader) == slot


def test_the_only_member_chooses_what_its_own_disk_has() -> None:
    leader = node_1(nodes=1)
    slot = leader.propose(b"v")
    assert outputs(leader).sends == []
    assert sync(leader) and watermark(leader) == slot


def test_an_acceptance_sent_twice_counts_once() -> None:
    leader = node_1(nodes=5)
    slot = leader.propose(b"v")
    sync(leader)
    for _ in range(3):
        assert not leader.on_accepted(2, Accepted(B2, slot))


def test_acceptances_of_another_ballot_or_from_a_stranger_count_for_nothing() -> None:
    leader = node_1()
    slot = leader.propose(b"v")
    sync(leader)
    assert not leader.on_accepted(2, Accepted(B1, slot))
    assert not leader.on_accepted(7, Accepted(B2, slot))
    assert not leader.on_accepted(2, Accepted(B2, slot + 1)), "nothing was proposed there"


def test_the_watermark_waits_for_the_slots_before() -> None:
    leader = node_1()
    first, second = leader.propose(b"a"), leader.propose(b"b")
    sync(leader)
    assert not leader.on_accepted(2, Accepted(B2, second))
    assert leader.on_accepted(2, Accepted(B2, first)) and watermark(leader) == second
    assert leader.ctx.counters["proposals_made"] == leader.ctx.counters["proposals_accepted"] == 2


# --- telling what is chosen ------------------------------------------------------------


def test_a_further_proposal_tells_the_watermark_and_spares_the_commit() -> None:
    leader = node_1()
    slot = chosen_one(leader)
    outputs(leader)
    leader.propose(b"next")
    (send,) = sends(leader, Accept)
    assert send.message.watermark == slot
    pass_time(leader, 20)
    assert sends(leader, Commit) == []


def test_with_nothing_to_propose_followers_are_told_after_the_commit_delay() -> None:
    leader = node_1()
    pass_time(leader, 1)
    slot = chosen_one(leader)
    outputs(leader)
    pass_time(leader, 4.999)
    assert outputs(leader).sends == []
    pass_time(leader, 0.001)
    assert outputs(leader).sends == [Send((2, 3), Commit(B2, slot), 0)]
    pass_time(leader, 15)
    assert sends(leader, Commit) == [], "they are told once"


def test_a_heartbeat_tells_the_watermark_and_spares_the_commit() -> None:
    leader = node_1()
    slot = chosen_one(leader)
    leader.propose(b"open")
    outputs(leader)
    leader.on_accepted(2, Accepted(B2, slot + 1))
    sync(leader)
    leader.beat()
    (send,) = sends(leader, Heartbeat)
    assert (send.message.watermark, send.message.last) == (slot + 1, slot + 1)
    pass_time(leader, 20)
    assert sends(leader, Commit) == []


# --- sending again -----------------------------------------------------------------------


def test_an_accept_goes_out_again_only_to_those_who_have_not_answered() -> None:
    leader = node_1(nodes=5)
    slot = leader.propose(b"v")
    leader.on_accepted(3, Accepted(B2, slot))
    outputs(leader)
    pass_time(leader, 49, acking=(2, 3))
    assert sends(leader, Accept) == []
    pass_time(leader, 30, acking=(2, 3))
    assert sends(leader, Accept) == [Send((2, 4, 5), Accept(B2, slot, 0, b"v"), 0)]


def test_what_is_applied_or_answered_by_all_is_not_sent_again() -> None:
    leader = node_1()
    answered, applied = leader.propose(b"a"), leader.propose(b"b")
    for node in (2, 3):
        leader.on_accepted(node, Accepted(B2, answered))
    leader.take(applied)
    outputs(leader)
    pass_time(leader, 200, acking=(2, 3))
    assert sends(leader, Accept) == []


# --- stepping down -------------------------------------------------------------------------


def test_a_leader_that_hears_no_majority_for_an_election_timeout_steps_down() -> None:
    leader = node_1(nodes=5)
    assert pass_time(leader, 190, acking=(2,))
    assert not pass_time(leader, 40, acking=(2,))
    assert outputs(leader).events[-1].fields == {"name": "majority_lost"}


def test_a_leader_that_hears_a_bare_majority_stays() -> None:
    leader = node_1(nodes=5)
    assert pass_time(leader, 2_000, acking=(2, 3))


def test_an_acceptance_is_a_sign_of_life_too() -> None:
    leader = node_1()
    pass_time(leader, 190)
    leader.on_accepted(2, Accepted(B2, 1))
    assert pass_time(leader, 150)


def test_a_leader_whose_disk_stalls_steps_down() -> None:
    """Defect 31: its heartbeats would go on while nothing of its own is ever synced."""
    leader = node_1()
    leader.propose(b"v")
    assert pass_time(leader, 190, acking=(2, 3))
    assert not pass_time(leader, 40, acking=(2, 3))
    assert outputs(leader).events[-1].fields == {"name": "disk_stalled"}


def test_a_disk_that_keeps_up_does_not_end_a_leadership() -> None:
    leader = node_1()
    for _ in range(8):
        leader.propose(b"v")
        sync(leader)
        assert pass_time(leader, 60, acking=(2, 3))


def read_on(leader: Leader, ms: int) -> bool:
    """Reads begin a round every 10 ms, all of which node 2 acknowledges; False once the leader steps down."""
    for _ in range(ms // 10):
        leader.ctx.now_us += 10 * MS
        if leader.wake_us() <= leader.ctx.now_us and not leader.on_time():
            return False
        leader.on_heartbeat_ack(2, HeartbeatAck(B2, leader.beat(), 0, 0, 0))
    return True


def test_reads_do_not_put_off_what_has_to_be_sent_again() -> None:
    leader = node_1()
    slot = leader.propose(b"v")
    sends(leader, Accept)
    assert read_on(leader, 100)
    (again,) = sends(leader, Accept)
    assert again.message.slot == slot  # type: ignore[attr-defined]


def test_reads_do_not_keep_a_leader_whose_disk_stalls() -> None:
    leader = node_1()
    leader.propose(b"v")
    assert not read_on(leader, 400)
    assert {"name": "disk_stalled"} in [event.fields for event in outputs(leader).events]


def test_silence_while_the_own_clock_stood_still_is_excused() -> None:
    leader = node_1()
    leader.ctx.now_us += 5_000 * MS
    leader.excuse_silence()
    outputs(leader)
    assert leader.on_time()
    assert len(sends(leader, Heartbeat)) == 1, "a sign of life is due at once"


# --- rounds ------------------------------------------------------------------------------


def test_a_round_is_confirmed_by_a_majority_of_the_members() -> None:
    leader = node_1(nodes=5)
    first, second = leader.beat(), leader.beat()
    assert not leader.on_heartbeat_ack(2, HeartbeatAck(B2, second, 0, 0))
    assert not leader.on_heartbeat_ack(2, HeartbeatAck(B2, second, 0, 0)), "one member counts once"
    assert leader.on_heartbeat_ack(3, HeartbeatAck(B2, first, 0, 0))
    assert leader.confirmed == first
    assert leader.on_heartbeat_ack(4, HeartbeatAck(B2, second, 0, 0))
    assert leader.confirmed == second
    assert not leader.on_heartbeat_ack(5, HeartbeatAck(B2, first, 0, 0))
    assert leader.confirmed == second, "it never goes back"


@pytest.mark.parametrize(("sender", "ballot", "later"), [(2, B1, 0), (9, B2, 0), (2, B2, 1)])
def test_no_other_ballot_or_stranger_confirms_and_nobody_a_round_not_begun(
    sender: int, ballot: Ballot, later: int
) -> None:
    leader = node_1()
    number = leader.beat()
    assert not leader.on_heartbeat_ack(sender, HeartbeatAck(ballot, number + later, 0, 0))
    assert leader.confirmed == 0


def test_heartbeats_echo_the_newest_marks() -> None:
    leader = node_1()
    first = leader.beat()
    second = leader.beat()
    leader.on_heartbeat_ack(3, HeartbeatAck(B2, second, 0, 0, 71))
    leader.on_heartbeat_ack(3, HeartbeatAck(B2, first, 0, 0, 70))
    leader.on_heartbeat_ack(2, HeartbeatAck(B1, second, 0, 0, 80))
    outputs(leader)
    leader.beat()
    (sent,) = sends(leader, Heartbeat)
    assert sent.message.echoes == (0, 0, 71)  # type: ignore[attr-defined]


def test_nothing_is_echoed_before_the_view_is_chosen() -> None:
    """What an earlier leader had chosen may be above the watermark until then."""
    leader = node_1(chosen=3)
    leader.view_slot = leader.propose(b"view")
    number = leader.beat()
    leader.on_heartbeat_ack(3, HeartbeatAck(B2, number, 0, 0, 71))
    outputs(leader)
    leader.beat()
    (sent,) = sends(leader, Heartbeat)
    assert sent.message.echoes == ()  # type: ignore[attr-defined]
    sync(leader)
    leader.on_accepted(2, Accepted(B2, leader.view_slot))
    leader.beat()
    (sent,) = sends(leader, Heartbeat)
    assert sent.message.echoes == (0, 0, 71)  # type: ignore[attr-defined]


def test_a_leader_s_own_age_counts_from_the_sending_of_a_confirmed_round() -> None:
    leader = node_1(chosen=3)
    assert not leader.within(1 << 40, applied=99)
    number = leader.beat()
    leader.ctx.now_us += 30 * MS
    leader.beat()
    leader.on_heartbeat_ack(3, HeartbeatAck(B2, number, 0, 0))
    leader.ctx.now_us += 10 * MS
    assert leader.within(40 * MS + 1, applied=3)
    assert not leader.within(40 * MS, applied=3) and not leader.within(99 * MS, applied=2)
    assert leader.lease_until_us == 0, "leases are off"


def test_a_lease_counts_from_the_sending_and_is_shorter_than_the_least_election_timeout() -> None:
    topology = msgspec.structs.replace(generate(1, 3), lease=True)
    ctx = Context(1, topology, seed=1)
    ctx.now_us = 1_000_000
    leader = Leader(ctx, Acceptor(ctx, Log(0), B2, learner=False), B2)
    number = leader.beat()
    assert leader.lease_until_us == 0
    ctx.now_us += 20 * MS
    leader.on_heartbeat_ack(3, HeartbeatAck(B2, number, 0, 0))
    assert leader.lease_until_us == 1_000_000 + 60 * MS
    ctx.now_us = leader.heartbeat_us
    outputs(leader)
    leader.on_time()
    assert all(send.message.ask for send in sends(leader, Heartbeat))  # type: ignore[attr-defined]


def test_heartbeats_name_the_round_confirmed_before() -> None:
    leader = node_1()
    number = leader.beat()
    leader.on_heartbeat_ack(3, HeartbeatAck(B2, number, 8, 7))
    assert (leader.peers[3].watermark, leader.peers[3].applied) == (8, 7)
    outputs(leader)
    leader.beat()
    beat = Heartbeat(B2, number + 1, number, 0, 0, True, (0, 0, 0))
    assert outputs(leader).sends == [Send((2, 3), beat, 0)]


def test_the_only_member_confirms_its_own_rounds() -> None:
    leader = node_1(nodes=1)
    assert leader.beat() == leader.confirmed == 1


def test_every_third_heartbeat_asks_for_answers() -> None:
    leader = node_1()
    asked: list[bool] = []
    while len(asked) < 3 * ASK_EVERY:
        pass_time(leader, 25)
        for send in sends(leader, Heartbeat):
            asked.append(send.message.ask)
            for node in (2, 3) if send.message.ask else ():
                leader.on_heartbeat_ack(node, HeartbeatAck(B2, send.message.round, 0, 0))
    assert ASK_EVERY == 3
    assert asked[:9] == [True, False, False] * 3


def test_a_leader_that_hears_nobody_asks_with_every_heartbeat() -> None:
    leader = node_1()
    pass_time(leader, 190)
    asked = [send.message.ask for send in sends(leader, Heartbeat)]
    assert asked[-3:] == [True, True, True]
