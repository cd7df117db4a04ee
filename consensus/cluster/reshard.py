"""PrintReshard on a bank whose nodes can be asked: learn from its traffic, plan, move, tell what moved."""

from __future__ import annotations

import secrets
import time

import msgspec

from consensus.client.fleet import Fleet
from consensus.cluster.mover import Mover, Part, Step
from consensus.cluster.plans import Placement, gather, make_plan
from consensus.sharding.traffic import Traffic
from consensus.types import AccountId, ClusterId

HALF_LIFE_S = 600.0
"""Longer than a test set takes: all of its traffic counts."""


class Reshard(msgspec.Struct, frozen=True):
    """What came of it: moves that were made, in the plan's order; percent of the traffic across clusters."""

    status: str
    reason: str
    before_pct: float
    predicted_pct: float
    planned: int
    moves: list[tuple[AccountId, ClusterId, ClusterId]]


async def reshard(fleet: Fleet, max_moves: int | None = None) -> Reshard:
    """Redistribute the bank that ``fleet`` reaches.

    Raises:
        PlanError: no plan could be made.
    """
    topology = fleet.topology
    traffic, placement = Traffic(topology.accounts), Placement(topology)
    for node in topology.nodes:
        await gather(traffic, node, fleet.ask_one)
        await placement.read(node, fleet.ask_one)
    sample = traffic.window(time.time() * 1_000, HALF_LIFE_S)
    options = {} if max_moves is None else {"max_moves": max_moves}
    plan, _events = await make_plan(sample, placement, options)
    before, predicted = plan["before"]["cross_shard_pct"], plan["predicted"]["cross_shard_pct"]
    steps = [Step(move[0], move[1], move[2]) for move in plan["moves"]]
    if plan["status"] == "refused" or not steps:
        return Reshard(plan["status"], plan["reason"], before, predicted, 0, [])

    async def save(part: Part) -> None:
        """A private bank ends with this process: nobody will go on after it."""

    mover = Mover(topology, secrets.token_hex(16), steps, fleet.ask_one, save)
    state = await mover.run()
    moved = [(step.account, step.source, step.target) for step in steps if step.account in mover.moved]
    reason = "; ".join(f"account {account}: {why}" for account, why in list(mover.given_up.items())[:5])
    return Reshard(state, reason, before, predicted, len(steps), moved)
