"""From what was on the disk to the parts of a replica."""

from __future__ import annotations

from typing import NamedTuple

from consensus.bank.state import BankState, StateError
from consensus.effects import Recovered
from consensus.messages.records import (
    AcceptedValue,
    ChosenValue,
    LearnerMark,
    Promised,
    SegmentHead,
    Watermark,
)
from consensus.paxos.log import Log
from consensus.topology import Cluster, Topology
from consensus.types import BALLOT_NONE, Ballot


class Rebuilt(NamedTuple):
    state: BankState
    log: Log
    promised: Ballot
    learner: bool
    damage: str
    """What was found damaged, in words; empty when nothing was."""


def rebuild(recovered: Recovered, topology: Topology, cluster: Cluster) -> Rebuilt:
    """Replay the journal over the checkpoint. Applies nothing: the replica does, from that slot on."""
    damage = ""
    learner = recovered.learner
    try:
        state = BankState.restore(recovered.rows) if recovered.rows else genesis(topology, cluster)
    except StateError as error:
        damage = f"the checkpoint is damaged: {error}"
        learner = True
        state = genesis(topology, cluster)
    log = Log(state.slot)
    promised = BALLOT_NONE
    watermark = 0
    needed = 0
    for record in recovered.records:
        if isinstance(record, AcceptedValue):
            if record.slot > log.floor:
                log.accept(record.slot, record.ballot, record.value)
            promised = max(promised, record.ballot)
            watermark = max(watermark, record.watermark)
        elif isinstance(record, ChosenValue):
            if record.slot > log.floor:
                log.learn(record.slot, record.ballot, record.value)
        elif isinstance(record, Promised):
            promised = max(promised, record.ballot)
        elif isinstance(record, Watermark):
            watermark = max(watermark, record.slot)
            needed = max(needed, record.checkpoint)
        elif isinstance(record, SegmentHead):
            promised = max(promised, record.promised)
            watermark = max(watermark, record.watermark)
            learner = learner or record.learner
        elif isinstance(record, LearnerMark):
            learner = record.learner or bool(damage) or recovered.learner
    if state.slot < needed and not damage:
        damage = f"the checkpoint is at slot {state.slot}, but the journal builds on one at {needed}"
        learner = True
    if not damage:
        mark_chosen(log, watermark)
    return Rebuilt(state, log, promised, learner, damage)


def mark_chosen(log: Log, watermark: int) -> None:
    """Mark what the journal knew to be chosen, as far as nothing is missing in between.

    A watermark is recorded only while every slot up to it stands in the log (or in a durable checkpoint), and
    a later acceptance for such a slot carries the same value. Without the checkpoint that the watermark was
    recorded over, none of this holds: a value below it may be one that was accepted and never chosen.
    """
    slot = log.watermark + 1
    while slot <= watermark and (entry := log.get(slot)) is not None:
        entry.chosen = True
        slot += 1
    log.advance()


def genesis(topology: Topology, cluster: Cluster) -> BankState:
    """The cluster's state before its first slot."""
    return BankState.genesis(
        topology.accounts, cluster.first_account, cluster.last_account, topology.initial_balance
    )
