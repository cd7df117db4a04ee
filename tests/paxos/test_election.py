"""Elections of one node: who may start one, what counts as a vote, and what a new view has to repeat."""

from __future__ import annotations

import pytest

from consensus.effects import Append, Outputs, Send
from consensus.messages.base import Message
from consensus.messages.paxos import Nack, Prepare, PreVote, PreVoteReply, Promise, SlotValue
from consensus.messages.records import Promised
from consensus.paxos.acceptor import Acceptor
from consensus.paxos.context import Context
from consensus.paxos.election import Election, Phase, Won
from consensus.paxos.log import Log
from consensus.topology_file import generate
from consensus.types import Ballot

B1, B2 = Ballot(1, 1), Ballot(2, 2)
"""What everybody promised at first, and the first ballot node 2 can propose."""
START_US = 1_000_000


def node_2(nodes: int = 3, chosen: int = 0, learner: bool = False, me: int = 2) -> Election:
    """Node 2 of so many, at one second, with ballot (1, 1) promised and slots ``1..chosen`` chosen."""
    ctx = Context(me, generate(1, nodes), seed=1)
    ctx.now_us = START_US
    log = Log(0)
    for slot in range(1, chosen + 1):
        log.learn(slot, B1, b"chosen")
    log.advance()
    return Election(ctx, Acceptor(ctx, log, B1, learner))


def outputs(election: Election) -> Outputs:
    """Everything that came out since the last call."""
    out, election.ctx.out = election.ctx.out, Outputs()
    return out


def sent(election: Election) -> list[Message]:
    return [send.message for send in outputs(election).sends]


def sync(election: Election) -> Won | None:
    """All records are on disk."""
    election.ctx.synced = election.ctx.position
    return election.on_persisted()


def promise(*entries: SlotValue, watermark: int = 0, part: int = 0, parts: int = 1) -> Promise:
    return Promise(B2, part, parts, watermark, 0, list(entries))


def preparing(nodes: int = 3, chosen: int = 0) -> Election:
    """Node 2 has its majority of pre-votes; its own promise is not yet on disk."""
    election = node_2(nodes, chosen)
    election.on_time()
    for sender in (1, 3)[: election.ctx.majority - 1]:
        election.on_prevote_reply(sender, PreVoteReply(B2, True, B1))
    assert election.phase is Phase.PREPARE
    outputs(election)
    return election


# --- pre-vote ------------------------------------------------------------------


def test_a_pre_vote_changes_nothing_at_either_end() -> None:
    election = node_2()
    election.on_time()
    out = outputs(election)
    assert out.sends == [Send((1, 3), PreVote(B2, 0), 0)] and out.persist == []
    election.on_prevote(3, PreVote(Ballot(2, 3), 0))
    out = outputs(election)
    assert out.sends == [Send((3,), PreVoteReply(Ballot(2, 3), True, B1), 0)] and out.persist == []
    assert election.acceptor.promised == B1


def test_a_pre_vote_is_refused_while_a_leader_is_heard() -> None:
    election = node_2()
    election.heard_leader(1)
    election.ctx.now_us += election.ctx.election_min_us - 1
    election.on_prevote(3, PreVote(Ballot(2, 3), 0))
    assert sent(election) == [PreVoteReply(Ballot(2, 3), False, B1)]
    election.ctx.now_us += 1
    election.on_prevote(3, PreVote(Ballot(2, 3), 0))
    assert sent(election) == [PreVoteReply(Ballot(2, 3), True, B1)]


def test_a_pre_vote_for_a_ballot_not_above_the_promise_is_refused_and_told_why() -> None:
    election = node_2()
    election.acceptor.promised = Ballot(4, 3)
    election.on_prevote(1, PreVote(Ballot(4, 1), 0))
    election.on_prevote(3, PreVote(Ballot(4, 3), 0))
    assert sent(election) == [
        PreVoteReply(Ballot(4, 1), False, Ballot(4, 3)),
        PreVoteReply(Ballot(4, 3), False, Ballot(4, 3)),
    ]


def test_no_promise_is_raised_before_a_majority_pre_votes() -> None:
    election = node_2(nodes=5)
    election.on_time()
    outputs(election)
    election.on_prevote_reply(1, PreVoteReply(B2, True, B1))
    election.on_prevote_reply(1, PreVoteReply(B2, True, B1))
    election.on_prevote_reply(4, PreVoteReply(B2, False, B1))
    election.on_prevote_reply(5, PreVoteReply(Ballot(1, 2), True, B1))
    assert outputs(election).persist == [] and election.acceptor.promised == B1
    election.on_prevote_reply(3, PreVoteReply(B2, True, B1))
    out = outputs(election)
    assert out.persist == [Append(Promised(B2), 0)]
    assert out.sends == [Send((1, 3, 4, 5), Prepare(B2, 0), 1)], "not before the own promise is on disk"


def test_a_pre_vote_that_comes_late_changes_nothing() -> None:
    election = node_2()
    election.on_time()
    election.heard_leader(1)
    outputs(election)
    assert election.on_prevote_reply(1, PreVoteReply(B2, True, B1)) is None
    assert outputs(election).persist == [] and election.phase is Phase.IDLE


def test_a_candidate_that_promised_as_much_to_another_gives_up_its_ballot() -> None:
    election = node_2()
    election.on_time()
    election.acceptor.promise(Ballot(2, 3))
    outputs(election)
    election.on_prevote_reply(1, PreVoteReply(B2, True, B1))
    out = outputs(election)
    assert out.persist == [] and out.sends == [] and election.phase is Phase.IDLE


def test_a_learner_neither_campaigns_nor_pre_votes() -> None:
    election = node_2(learner=True)
    election.on_prevote(3, PreVote(Ballot(2, 3), 0))
    assert sent(election) == []
    with pytest.raises(AssertionError):
        election.on_time()


# --- prepare ---------------------------------------------------------------------


def test_the_own_promise_counts_only_when_it_is_on_disk() -> None:
    election = preparing()
    assert election.on_promise(1, promise()) is None
    assert election.on_persisted() is None, "nothing is synced yet"
    assert sync(election) == Won(B2, {}, (1, 2))


def test_without_a_majority_of_the_configured_members_nobody_wins() -> None:
    election = preparing(nodes=5)
    assert sync(election) is None
    assert election.on_promise(1, promise()) is None
    assert election.on_promise(1, promise()) is None, "one member counts once"
    assert election.on_promise(3, promise()) == Won(B2, {}, (1, 2, 3))


def test_promises_of_another_ballot_or_after_the_election_do_not_count() -> None:
    election = preparing()
    sync(election)
    assert election.on_promise(1, Promise(Ballot(1, 2), 0, 1, 0, 0, [])) is None
    election.rest()
    assert election.on_promise(1, promise()) is None


def test_a_promise_counts_when_all_its_parts_are_there() -> None:
    first, second = SlotValue(1, B1, False, b"a"), SlotValue(2, B1, False, b"b")
    election = preparing()
    sync(election)
    assert election.on_promise(1, promise(second, part=1, parts=2)) is None
    assert election.on_promise(1, promise(second, part=1, parts=2)) is None
    assert election.on_promise(1, promise(part=2, parts=2)) is None, "there is no such part"
    assert election.on_promise(1, promise(first, part=0, parts=2)) == Won(B2, {1: first, 2: second}, (1, 2))


def test_pieces_of_two_answers_to_one_prepare_are_never_put_together() -> None:
    """A Prepare that came twice is answered twice; a slot may have moved to another piece in between."""
    election = preparing()
    assert sync(election) is None
    first, second = SlotValue(1, B1, False, b"one"), SlotValue(2, B1, False, b"two")
    assert election.on_promise(3, Promise(B2, 0, 2, 0, 0, [first], 11)) is None
    assert election.on_promise(3, Promise(B2, 1, 2, 0, 0, [], 12)) is None
    won = election.on_promise(3, Promise(B2, 1, 2, 0, 0, [second], 11))
    assert won is not None and sorted(won.values) == [1, 2]


def test_the_only_member_wins_when_its_promise_is_on_disk() -> None:
    election = node_2(nodes=1, me=1)
    assert election.on_time() is None
    assert sync(election) == Won(Ballot(2, 1), {}, (1,))


# --- what the new view proposes again ------------------------------------------------


def test_for_each_slot_the_value_of_the_highest_ballot_wins() -> None:
    election = preparing(nodes=5)
    election.acceptor.log.accept(1, Ballot(1, 1), b"own")
    sync(election)
    low, high = SlotValue(1, Ballot(1, 3), False, b"low"), SlotValue(1, Ballot(1, 4), False, b"high")
    only = SlotValue(3, Ballot(1, 3), False, b"only")
    election.on_promise(4, promise(high))
    assert election.on_promise(3, promise(low, only)) == Won(B2, {1: high, 3: only}, (2, 3, 4))


def test_what_the_candidate_itself_accepted_counts_like_any_report() -> None:
    election = preparing()
    election.acceptor.log.accept(1, Ballot(1, 3), b"own")
    sync(election)
    won = election.on_promise(1, promise(SlotValue(1, B1, False, b"lower")))
    assert won is not None and won.values[1].value == b"own"


@pytest.mark.parametrize("chosen_first", [True, False])
def test_a_chosen_value_beats_any_ballot(chosen_first: bool) -> None:
    """Slot 2 stands beyond a gap, so that knowing it as chosen does not move the watermark over it."""
    chosen = SlotValue(2, B1, True, b"chosen")
    accepted = SlotValue(2, Ballot(1, 5), False, b"accepted")
    election = preparing(nodes=5)
    sync(election)
    reports = [(1, chosen), (3, accepted)] if chosen_first else [(3, accepted), (1, chosen)]
    won = [election.on_promise(sender, promise(value)) for sender, value in reports][-1]
    assert won == Won(B2, {2: chosen}, (1, 2, 3))
    entry = election.acceptor.log.get(2)
    assert entry is not None and entry.chosen


def test_chosen_values_of_the_quorum_are_taken_over_and_not_proposed_again() -> None:
    election = preparing()
    sync(election)
    entries = [SlotValue(slot, B1, True, b"v") for slot in (1, 2)]
    tail = SlotValue(3, B1, False, b"tail")
    assert election.on_promise(1, promise(*entries, tail, watermark=2)) == Won(B2, {3: tail}, (1, 2))
    assert election.acceptor.log.watermark == 2


def test_a_candidate_behind_its_quorum_brings_itself_up_before_the_view_starts() -> None:
    """Defect 34: else it fills slots with no-ops that were chosen and truncated elsewhere."""
    election = preparing()
    sync(election)
    tail = SlotValue(4, B1, False, b"tail")
    assert election.on_promise(3, promise(tail, watermark=3)) is None
    assert (election.phase, election.target, election.source) == (Phase.RECOVER, 3, 3)
    log = election.acceptor.log
    for slot in (1, 2):
        log.learn(slot, B1, b"v")
    log.advance()
    election.ctx.now_us += 50_000
    assert election.on_progress() is None
    assert election.deadline_us >= election.ctx.now_us + election.ctx.election_min_us, "progress buys time"
    log.learn(3, B1, b"v")
    log.advance()
    assert election.on_progress() == Won(B2, {4: tail}, (2, 3))
    assert election.phase is Phase.IDLE and election.on_progress() is None, "an election is won once"


# --- losing and waiting ------------------------------------------------------------------


def test_a_nack_ends_the_attempt_and_raises_the_next_round() -> None:
    election = preparing()
    election.on_nack(Nack(Ballot(7, 3)))
    assert election.phase is Phase.IDLE
    assert election.deadline_us >= election.ctx.now_us + election.ctx.election_min_us
    election.on_time()
    assert sent(election) == [PreVote(Ballot(8, 2), 0)]


def test_a_nack_of_an_earlier_attempt_does_not_end_this_one() -> None:
    election = preparing()
    election.on_nack(Nack(B1))
    assert election.phase is Phase.PREPARE


def test_a_refused_pre_vote_and_a_refused_leadership_raise_the_next_round() -> None:
    election = node_2()
    election.on_time()
    election.on_prevote_reply(3, PreVoteReply(B2, False, Ballot(5, 3)))
    outputs(election)
    election.on_time()
    assert sent(election) == [PreVote(Ballot(6, 2), 0)]
    election.saw(Ballot(9, 1))
    election.on_time()
    assert sent(election) == [PreVote(Ballot(10, 2), 0)]


def test_a_live_leader_ends_the_campaign_and_puts_the_next_one_off() -> None:
    election = preparing()
    election.ctx.now_us += 30_000
    election.heard_leader(1)
    assert election.phase is Phase.IDLE and election.heard_us == election.ctx.now_us
    wait = election.deadline_us - election.ctx.now_us
    assert election.ctx.election_min_us <= wait < election.ctx.election_max_us


def test_rest_waits_a_timeout_drawn_anew_and_what_is_added() -> None:
    election = node_2()
    waits = []
    for _ in range(8):
        election.rest(extra_us=1_000_000)
        waits.append(election.deadline_us - START_US - 1_000_000)
    assert len(set(waits)) > 1
    assert all(election.ctx.election_min_us <= wait < election.ctx.election_max_us for wait in waits)


def test_whoever_campaigns_follows_nobody_and_is_counted() -> None:
    election = node_2()
    election.acceptor.leader = 1
    election.on_time()
    assert election.acceptor.leader == 0
    assert election.ctx.counters["elections_started"] == 1
    assert election.deadline_us > election.ctx.now_us, "it tries again when nobody answers"
