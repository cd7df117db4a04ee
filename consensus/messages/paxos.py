"""Messages inside a cluster (numbers 1–39). Names follow Lamport's; see docs/protocol.md."""

from __future__ import annotations

from consensus.messages.base import Message
from consensus.types import Ballot, Slot


class SlotValue(Message):
    """What an acceptor holds for a slot. ``value`` is an encoded batch."""

    slot: Slot
    ballot: Ballot
    chosen: bool
    value: bytes


class PreVote(Message, tag=1):
    """Would you promise ``ballot`` to me? Changes nothing at either end."""

    ballot: Ballot
    watermark: Slot


class PreVoteReply(Message, tag=2):
    """``promised`` tells a refused candidate which round it has to exceed."""

    ballot: Ballot
    granted: bool
    promised: Ballot


class Prepare(Message, tag=3):
    """Phase 1a. ``watermark`` is the candidate's chosen watermark."""

    ballot: Ballot
    watermark: Slot


class Promise(Message, tag=4):
    """Phase 1b, in ``parts`` pieces of bounded size.

    Carries every entry the acceptor holds above its own ``watermark`` and those between the
    candidate's and its own that it still has, marked chosen; ``checkpoint`` is the slot below which
    its log no longer reaches. ``answer`` tells the pieces of one answer from those of another to the same
    Prepare, which may hold other slots.
    """

    ballot: Ballot
    part: int
    parts: int
    watermark: Slot
    checkpoint: Slot
    entries: list[SlotValue]
    answer: int = 0


class NewViewNotice(Message, tag=5):
    """NEW-VIEW: the new leader's ballot, where it starts, and the slots it proposes again.

    The accepts follow as ordinary :class:`Accept` messages.
    """

    ballot: Ballot
    watermark: Slot
    first: Slot
    last: Slot


class Accept(Message, tag=6):
    """Phase 2a. ``watermark`` tells what is chosen, as :class:`Commit` does.

    ``traced``: who records events records all of this slot; it holds a transaction that is kept or in the
    sample. Nothing else follows from it.
    """

    ballot: Ballot
    slot: Slot
    watermark: Slot
    value: bytes
    traced: bool = False


class Accepted(Message, tag=7):
    """Phase 2b. Leaves only after the accepted value is synced."""

    ballot: Ballot
    slot: Slot


class Commit(Message, tag=8):
    """Everything up to ``watermark`` is chosen."""

    ballot: Ballot
    watermark: Slot


class Nack(Message, tag=9):
    """Refuses a lower ballot and names the one that was promised."""

    ballot: Ballot


class Heartbeat(Message, tag=10):
    """A sign of life of the leader, and a round that can be confirmed.

    ``round`` counts up; ``confirmed`` is the highest round a majority acknowledged; ``last`` is the highest
    slot the leader has proposed. Without ``ask`` nobody need answer: most idle heartbeats only say that the
    leader is there. ``echoes``: the mark of each member's newest acknowledgement that came
    before this heartbeat left, in the cluster's order (0: none); empty until the leader's view is chosen.
    """

    ballot: Ballot
    round: int
    confirmed: int
    watermark: Slot
    last: Slot
    ask: bool = True
    echoes: tuple[int, ...] = ()


class HeartbeatAck(Message, tag=11):
    """Acknowledges ``round``; ``watermark`` and ``applied`` are the follower's own.

    ``mark`` names this acknowledgement: no other of this node has it, those of its earlier lives included.
    """

    ballot: Ballot
    round: int
    watermark: Slot
    applied: Slot
    mark: int = 0


class Fetch(Message, tag=12):
    """Ask for the chosen values of ``first..last``."""

    first: Slot
    last: Slot


class Chosen(Message, tag=13):
    """Chosen values only, in slot order; ``checkpoint`` > ``first`` asked for means: too old, take state."""

    watermark: Slot
    checkpoint: Slot
    entries: list[SlotValue]


class StateRequest(Message, tag=14):
    """Ask for chunk ``index`` of the state at ``slot`` (0 = whichever the sender captures now)."""

    slot: Slot
    index: int


class StateChunk(Message, tag=15):
    """Encoded rows of the state at exactly ``slot``; ``last`` closes the transfer.

    ``slot`` 0 refuses: the sender no longer holds the state that was asked for.
    """

    slot: Slot
    index: int
    last: bool
    rows: bytes


class LearnerQuery(Message, tag=16):
    """A node that lost its disk asks the others what they have promised."""

    nonce: int


class LearnerReply(Message, tag=17):
    """``learner`` true: the answerer lost its disk, too, and does not count.

    ``round``: the heartbeat round that the answerer, who leads ``promised``, has started last; 0 when it
    does not lead.
    """

    nonce: int
    promised: Ballot
    learner: bool
    round: int = 0


class IndexQuery(Message, tag=18):
    """A follower has linearizable reads: what must it have applied to answer them?

    ``nonce`` names the question; a repeated question has the same one.
    """

    nonce: int


class IndexReply(Message, tag=19):
    """``index``: what the leader knew as chosen when the question came; it led after that, too."""

    nonce: int
    index: Slot


PaxosMessage = (
    PreVote
    | PreVoteReply
    | Prepare
    | Promise
    | NewViewNotice
    | Accept
    | Accepted
    | Commit
    | Nack
    | Heartbeat
    | HeartbeatAck
    | Fetch
    | Chosen
    | StateRequest
    | StateChunk
    | LearnerQuery
    | LearnerReply
    | IndexQuery
    | IndexReply
)

TRACE_NAMES: dict[type[Message], str] = {
    PreVote: "prevote",
    PreVoteReply: "prevote",
    Prepare: "prepare",
    Promise: "promise",
    NewViewNotice: "newview",
    Accept: "accept",
    Accepted: "accepted",
    Commit: "commit",
    Nack: "nack",
    Heartbeat: "heartbeat",
    HeartbeatAck: "heartbeat",
    Fetch: "catchup",
    Chosen: "catchup",
    StateRequest: "snapshot",
    StateChunk: "snapshot",
    LearnerQuery: "catchup",
    LearnerReply: "catchup",
    IndexQuery: "heartbeat",
    IndexReply: "heartbeat",
}
"""Message type to ``m`` of the trace schema's ``msg.*`` events."""
