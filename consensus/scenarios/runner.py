"""Runs a scenario on a bank: does each step, judges what came of it, and proves the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from consensus.client.attempts import submit_until
from consensus.client.bank import BankClient
from consensus.client.fleet import Fleet, leaders_in
from consensus.client.results import COMMITTED, TxResult
from consensus.cluster.cut import take_cut
from consensus.scenarios import scenario as spec
from consensus.scenarios.scenario import Scenario, Step
from consensus.scenarios.stage import Stage
from consensus.types import AccountId, ClusterId, NodeId

WAIT_S: Final = 15.0
POLL_S: Final = 0.02
IN_FLIGHT: Final = 64
GROUP: Final = 6


class Done(msgspec.Struct, frozen=True):
    """A step that is over: when it began and how long it took, and what happened in words.

    ``over_us``: its end on the clock of traces, where its moment is looked up.
    """

    caption: str
    action: str
    at_s: float
    over_us: int
    took_ms: float
    told: str
    ok: bool


class Report(msgspec.Struct, frozen=True):
    """What came of it. ``proof``: what holds at the end, each with what was found."""

    scenario: str
    title: str
    ok: bool
    steps: list[Done]
    proof: list[dict[str, Any]]
    next: str

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class UnexpectedError(Exception):
    """A step came to something else than it should have; the text says what."""


Told = Callable[[Done], None]
Begins = Callable[[Step, int], None]
"""Told of a step, and the time on the clock of traces."""


async def play(
    name: str,
    scenario: Scenario,
    stage: Stage,
    told: Told,
    begins: Begins = lambda step, at_us: None,
    pause_s: float = 0.0,
) -> Report:
    """Run ``scenario`` on a running bank. ``told`` hears of each step when it is over, ``begins`` before.

    ``pause_s``: between steps, for those who look on; not before one that is to follow at once.

    A step that came to something else ends the run; the proof is taken all the same.

    Raises:
        TimeoutError: the bank did not come to rest.
    """
    async with (
        BankClient(stage.topology, stage.secret, name="scenario") as client,
        Fleet(stage.topology, stage.secret) as fleet,
    ):
        await client.ready(WAIT_S)
        run = _Run(stage, client, fleet)
        steps: list[Done] = []
        begun = time.monotonic()
        for step in scenario.steps:
            action, argument = step.action
            if steps and not step.at_once:
                await asyncio.sleep(pause_s)
            began = time.monotonic()
            begins(step, time.time_ns() // 1_000)
            try:
                words, ok = await getattr(run, f"_{action}")(argument), True
            except (UnexpectedError, TimeoutError) as error:
                words, ok = str(error) or "it did not happen in time", False
            took_ms, over_us = round(1e3 * (time.monotonic() - began), 1), time.time_ns() // 1_000
            done = Done(step.caption, action, round(began - begun, 3), over_us, took_ms, words, ok)
            steps.append(done)
            told(done)
            if not ok:
                break
        proof = await run.proof()
        ok = all(done.ok for done in steps) and all(found["ok"] for found in proof)
        return Report(name, scenario.title, ok, steps, proof, scenario.next)


class _Run:
    def __init__(self, stage: Stage, client: BankClient, fleet: Fleet) -> None:
        self._stage = stage
        self._client = client
        self._fleet = fleet
        self._victims: list[NodeId] = []
        self._slowed: list[NodeId] = []
        self._named: dict[str, asyncio.Task[TxResult] | TxResult] = {}

    # --- transactions ------------------------------------------------------------------

    async def _transfer(self, wish: spec.Transfer) -> str:
        legs = (wish.from_, -wish.amount, wish.to, wish.amount)
        call = self._client.submit(legs, deadline_s=wish.deadline_s, keep=True)
        if wish.background:
            self._named[wish.as_] = asyncio.ensure_future(call)
            return "on its way"
        result = await call
        if wish.as_:
            self._named[wish.as_] = result
        return _expected(result, [wish.expect] if isinstance(wish.expect, str) else wish.expect, wish.reason)

    async def _legs(self, wish: spec.Legs) -> str:
        return _expected(await self._client.submit(wish.legs, keep=True), [COMMITTED], "")

    async def _burst(self, wish: spec.Burst) -> str:
        payers = [payer for first, last in wish.from_ for payer in range(first, last + 1)]
        calls = [self._insist(payer, wish.to, wish.amount) for payer in payers]
        results = await asyncio.gather(*calls)
        lost = [result for result in results if result.outcome != COMMITTED]
        if lost:
            raise UnexpectedError(f"{len(lost)} of {len(payers)} did not commit: {_words(lost[0])}")
        slowest = max(result.latency_ms for result in results)
        return f"all {len(payers)} committed, the slowest in {slowest:.0f} ms"

    async def _insist(self, payer: AccountId, payee: AccountId, amount: int) -> TxResult:
        return await submit_until(self._client, (payer, -amount, payee, amount), WAIT_S)

    async def _resolve(self, wish: spec.Resolve) -> str:
        held = self._named[wish.name]
        result = await held if isinstance(held, asyncio.Task) else held
        if result.outcome not in wish.expect:
            result = await self._client.resolve(result.id, cluster=result.clusters[0], deadline_s=WAIT_S)
        return _expected(result, wish.expect, "")

    async def _trade(self, wish: spec.Trade) -> str:
        accounts = self._stage.topology.accounts
        apart = accounts // GROUP
        random = Random(wish.seed)
        crossed = 0
        room = asyncio.Semaphore(IN_FLIGHT)

        async def one(payer: AccountId, payee: AccountId) -> None:
            nonlocal crossed
            async with room:
                result = await self._insist(payer, payee, 1)
            crossed += len(set(result.clusters)) > 1

        async with asyncio.TaskGroup() as group:
            for _ in range(wish.transfers):
                payer, payee = random.sample(range(GROUP), 2)
                first = random.randrange(wish.groups)
                place = [(first + member * apart) % accounts + 1 for member in (payer, payee)]
                group.create_task(one(*place))
        pct = 100 * crossed / wish.transfers
        if pct >= wish.cross_pct_below:
            raise UnexpectedError(f"{pct:.1f} % of {wish.transfers:,} transfers crossed clusters")
        return f"{pct:.1f} % of {wish.transfers:,} transfers crossed clusters"

    async def _reshard(self, wish: spec.Reshard) -> str:
        found = await self._stage.reshard()
        if len(found.moves) < wish.moved_at_least:
            raise UnexpectedError(f"{found.status}: {len(found.moves)} accounts moved. {found.reason}")
        share = f"{found.before_pct:.1f} % across clusters, {found.predicted_pct:.1f} % promised"
        return f"{len(found.moves)} accounts moved; {share}"

    # --- looking -------------------------------------------------------------------------

    async def _read(self, wish: spec.Read) -> str:
        values = await self._client.read([wish.account], deadline_s=WAIT_S)
        if values.outcome != "ok":
            raise UnexpectedError(f"the read was refused: {values.reason}")
        balance = values.values[wish.account][1]
        _same(wish.account, balance, wish.balance)
        return f"account {wish.account} holds {balance}, after {values.latency_ms:.1f} ms"

    async def _replicas(self, wish: spec.Read) -> str:
        members = next(
            cluster.members
            for cluster in self._stage.topology.clusters
            if cluster.first_account <= wish.account <= cluster.last_account
        )
        await self._until(lambda: self._all_hold(members, wish))
        return ", ".join(f"n{node}: {wish.balance}" for node in members)

    async def _all_hold(self, members: tuple[NodeId, ...], wish: spec.Read) -> bool:
        bodies = await self._fleet.ask(members, "accounts", ids=[wish.account])
        held = [body["accounts"][0][1] for body in bodies.values() if body["accounts"]]
        return held == [wish.balance] * len(members)

    async def _node_state(self, wish: spec.NodeState) -> str:
        (node,) = await self._nodes(wish.node)
        body = await self._fleet.call(node, "accounts", ids=[wish.account])
        _same(wish.account, body["accounts"][0][1], wish.balance)
        return f"n{node} has {wish.balance}, at slot {body['applied']}"

    async def _locked(self, wish: spec.Place) -> str:
        await self._until(lambda: self._holds_lock(wish.account))
        return f"account {wish.account} is locked"

    async def _unlocked(self, wish: spec.Place) -> str:
        async def free() -> bool:
            return not await self._holds_lock(wish.account)

        await self._until(free)
        return f"account {wish.account} is free"

    async def _holds_lock(self, account: AccountId) -> bool:
        bodies = await self._fleet.ask(self._stage.topology.nodes, "locks")
        return any(lock["account"] == account for body in bodies.values() for lock in body["locks"])

    async def _new_leader(self, wish: spec.NewLeader) -> str:
        began = time.monotonic()
        members = self._members(wish.cluster)
        others = [member for member in members if member not in self._victims]
        leaders = await self._fleet.wait_leaders([wish.cluster], others, WAIT_S)
        took_ms = 1e3 * (time.monotonic() - began)
        return f"n{leaders[wish.cluster]} leads cluster {wish.cluster}, {took_ms:.0f} ms later"

    # --- faults ----------------------------------------------------------------------------

    async def _fault(self, wish: spec.Cause) -> str:
        nodes = await self._nodes(wish.node) if wish.node else []
        names = ", ".join(f"n{node}" for node in nodes)
        if wish.kind in ("kill", "fail", "cut"):
            self._victims = nodes
        for node in nodes:
            if wish.kind in ("kill", "restart", "fail", "recover"):
                await self._stage.act(node, wish.kind)
            elif wish.kind == "cut":
                for other in self._stage.topology.nodes:
                    if other != node:
                        await self._stage.link(node, other, cut=True, delay_ms=0)
                        await self._stage.link(other, node, cut=True, delay_ms=0)
        if wish.kind == "slow":
            for source in self._members(wish.from_):
                for target in self._members(wish.to):
                    await self._stage.link(source, target, cut=False, delay_ms=wish.delay_ms)
            return f"{wish.delay_ms:.0f} ms from cluster {wish.from_} to cluster {wish.to}"
        if wish.kind == "heal":
            await self._stage.heal()
            return "all links work"
        return f"{wish.kind}: {names}"

    async def _nodes(self, words: str) -> list[NodeId]:
        """``n3``, ``leader of 1``, ``followers of 2``, ``victim(s)``."""
        if words.startswith("victim"):
            return self._victims
        if words.startswith("n"):
            return [int(words[1:])]
        role, _, cluster = words.partition(" of ")
        members = self._members(int(cluster))
        leader = (await self._fleet.wait_leaders([int(cluster)], members, WAIT_S))[int(cluster)]
        return [leader] if role == "leader" else [member for member in members if member != leader]

    def _members(self, cluster: ClusterId) -> tuple[NodeId, ...]:
        return self._stage.topology.cluster_by_id[cluster].members

    async def _until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not await holds():  # noqa: ASYNC110  (nodes are asked; they tell nobody)
                await asyncio.sleep(POLL_S)

    # --- the proof -------------------------------------------------------------------------

    async def proof(self) -> list[dict[str, Any]]:
        """Everything is healed; then money, replicas and locks."""
        topology = self._stage.topology
        await self._stage.heal()
        for node in self._victims:
            status = await self._fleet.ask_one(node, "status")
            if status is None:
                await self._stage.act(node, "restart")
            elif status["state"] == "failed":
                await self._stage.act(node, "recover")
        await self._stage.wait_ready(WAIT_S)
        await self._until(self._at_rest)
        cut = await take_cut(topology, self._fleet.ask_one, lambda cluster: cluster.members, accounts=False)
        money = topology.accounts * topology.initial_balance
        alike = await self._alike()
        return [
            {"name": "money", "ok": cut.total == money, "found": f"{cut.total:,} of {money:,}"},
            {"name": "replicas agree", "ok": not alike, "found": alike or "the same hash at the same slot"},
            {"name": "locks drained", "ok": True, "found": "no lock on any node"},
        ]

    async def _at_rest(self) -> bool:
        """Every node is there, applied what its cluster chose, and holds no lock."""
        topology = self._stage.topology
        statuses = await self._fleet.statuses()
        if len(statuses) < len(topology.nodes) or len(leaders_in(statuses)) < len(topology.clusters):
            return False
        bodies = await self._fleet.ask(topology.nodes, "locks")
        return not any(body["locks"] for body in bodies.values())

    async def _alike(self) -> str:
        """Where replicas of a cluster differ; empty when they do not."""
        found: dict[NodeId, dict[str, Any]] = {}

        async def level() -> bool:
            found.update(await self._fleet.ask(self._stage.topology.nodes, "hash"))
            return all(
                len({found[member]["slot"] for member in cluster.members}) == 1
                for cluster in self._stage.topology.clusters
            )

        await self._until(level)
        differing = [
            str(cluster.id)
            for cluster in self._stage.topology.clusters
            if len({found[member]["hash"] for member in cluster.members}) > 1
        ]
        return f"replicas differ in cluster {', '.join(differing)}" if differing else ""


def _expected(result: TxResult, expect: list[str], reason: str) -> str:
    if result.outcome not in expect or (reason and result.reason != reason):
        wanted = " or ".join(expect) + (f" ({reason})" if reason else "")
        raise UnexpectedError(f"{_words(result)}; expected {wanted}")
    return _words(result)


def _words(result: TxResult) -> str:
    why = f" ({result.reason})" if result.reason else ""
    where = " and ".join(map(str, sorted(set(result.clusters))))
    return f"{result.outcome}{why} in {result.latency_ms:.1f} ms, cluster {where}"


def _same(account: AccountId, found: int, wanted: int) -> None:
    if found != wanted:
        raise UnexpectedError(f"account {account} holds {found}, not {wanted}")
