"""A bank under faults: who does what to it, and what is found of it afterwards.

At most a minority of a cluster is under a fault at any time, and the next one there begins only when the
node of the one before takes part again. So every fault leaves each cluster a healthy majority, and the
bank has to go on.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from consensus.checker.history import Event
from consensus.client.bank import BankClient
from consensus.client.errors import OperatorError
from consensus.client.fleet import Fleet, leaders_in
from consensus.cluster.cut import CutError, take_cut
from consensus.cluster.launcher import LocalBank
from consensus.nemesis.faults import Injector
from consensus.nemesis.probe import Gap, Probe
from consensus.nemesis.recorder import Recorder
from consensus.topology import Cluster
from consensus.types import AccountId, ClusterId, NodeId

SPAN_S: Final = (0.4, 1.5)
CALM_S: Final = (0.2, 0.8)
"""Between two faults in one cluster, after the node is back."""
LEADER_SHARE: Final = 0.4
READ_SHARE: Final = 0.3
AUDIT_S: Final = 5.0
AMOUNT_MAX: Final = 300
SETTLE_S: Final = 30.0
READS_MAX: Final = 10

Told = Callable[[dict[str, Any]], None]


class Period(msgspec.Struct, frozen=True):
    """A fault from its cause until its node took part again; monotonic seconds."""

    kind: str
    what: str
    cluster: ClusterId
    node: NodeId
    leader: bool
    begin_s: float
    end_s: float


class Outcome(msgspec.Struct):
    """What a run left: the history for the checker, the faults, the gaps of each cluster's probe."""

    events: list[Event]
    faults: list[Period]
    gaps: dict[ClusterId, list[Gap]]
    conserved: bool

    @property
    def injected(self) -> dict[str, int]:
        return dict(sorted(Counter(fault.kind for fault in self.faults).items()))

    def unavailable_ms(self) -> dict[str, float]:
        """By kind of fault, the longest gap that overlaps one in its cluster; ``none``: all other gaps."""
        worst: dict[str, float] = {}
        for cluster, gaps in self.gaps.items():
            own = [fault for fault in self.faults if fault.cluster == cluster]
            for gap in gaps:
                kinds = {f.kind for f in own if f.begin_s <= gap.end_s and f.end_s >= gap.begin_s} or {"none"}
                for kind in kinds:
                    worst[kind] = max(worst.get(kind, 0.0), round(gap.ms, 1))
        return dict(sorted(worst.items()))


async def break_bank(
    bank: LocalBank, kinds: tuple[str, ...], duration_s: float, clients: int, seed: int, told: Told
) -> Outcome:
    """Load and break a running bank for ``duration_s``; heal it, let it come to rest, read everything.

    ``told`` hears of each fault: ``{"at_s", "kind", "what", "node", "phase": "begin"|"end",
    "operations"}``; the last is how many operations were begun by then.

    Raises:
        TimeoutError: a node or a cluster did not come back.
    """
    run = _Run(bank, kinds, clients, seed, told)
    return await run.go(duration_s)


class _Run:
    def __init__(self, bank: LocalBank, kinds: tuple[str, ...], clients: int, seed: int, told: Told) -> None:
        self._bank = bank
        self._clients = clients
        self._random = Random(seed)
        self._told = told
        self._stop = asyncio.Event()
        self._faults: list[Period] = []
        self._queue: list[str] = []
        self._kinds = kinds
        self._begun_s = 0.0
        self._recorder: Recorder | None = None

    async def go(self, duration_s: float) -> Outcome:
        bank = self._bank
        topology = bank.topology
        probed = {c.id: (c.first_account, c.first_account + 1) for c in topology.clusters}
        kept = {account for pair in probed.values() for account in pair}
        everybody = list(range(1, topology.accounts + 1))
        used = [account for account in everybody if account not in kept]
        async with (
            BankClient(topology, bank.secret, name="verify") as client,
            Fleet(topology, bank.secret) as fleet,
        ):
            await client.ready(SETTLE_S)
            recorder = self._recorder = Recorder(client, dict.fromkeys(everybody, topology.initial_balance))
            probes = [Probe(cluster, recorder, accounts) for cluster, accounts in probed.items()]
            injector = Injector(bank, fleet, self._random)
            self._begun_s = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for number in range(self._clients):
                    group.create_task(self._load(recorder, used, Random(f"{self._random.random()}/{number}")))
                for probe in probes:
                    group.create_task(probe.run(self._stop))
                group.create_task(self._audits(recorder, fleet))
                for cluster in topology.clusters:
                    group.create_task(self._break(cluster, injector, fleet))
                await asyncio.sleep(duration_s)
                self._stop.set()
            await bank.wait_ready(SETTLE_S)
            for account in everybody:
                await self._read(recorder, account)
            conserved = await self._audit(recorder, fleet)
        return Outcome(recorder.events, self._faults, {p.cluster: p.gaps for p in probes}, conserved)

    async def _read(self, recorder: Recorder, account: AccountId) -> None:
        """Read an account, again if that fails; the client library waits for leaders itself."""
        async with asyncio.timeout(SETTLE_S):
            for _ in range(READS_MAX):
                if await recorder.read([account]):
                    return
        raise TimeoutError(f"account {account} cannot be read")

    async def _load(self, recorder: Recorder, accounts: list[AccountId], random: Random) -> None:
        while not self._stop.is_set():
            if random.random() < READ_SHARE:
                await recorder.read([random.choice(accounts)])
            else:
                sender, receiver = random.sample(accounts, 2)
                await recorder.transfer(sender, receiver, random.randint(1, AMOUNT_MAX))

    # --- audits ------------------------------------------------------------------------

    async def _audits(self, recorder: Recorder, fleet: Fleet) -> None:
        while not self._stop.is_set():
            await asyncio.sleep(AUDIT_S)
            await self._audit(recorder, fleet)

    async def _audit(self, recorder: Recorder, fleet: Fleet) -> bool:
        """Count all money in one cut; no cut while a cluster is between leaders is no violation."""
        topology = self._bank.topology
        name = f"audit-{len(recorder.events)}"
        recorder.events.append(Event(name, "invoke", "audit", name, time.monotonic_ns()))
        try:
            cut = await take_cut(topology, fleet.ask_one, lambda cluster: cluster.members, accounts=False)
        except CutError as error:
            recorder.events.append(Event(name, "fail", "audit", name, time.monotonic_ns(), reason=str(error)))
            return False
        recorder.events.append(Event(name, "ok", "audit", name, time.monotonic_ns(), total=cut.total))
        return cut.total == topology.accounts * topology.initial_balance

    # --- faults ------------------------------------------------------------------------

    def _next(self) -> str:
        """Kinds in turn, each round in another order, so that all come about equally often."""
        if not self._queue:
            self._queue = self._random.sample(self._kinds, len(self._kinds))
        return self._queue.pop()

    async def _break(self, cluster: Cluster, injector: Injector, fleet: Fleet) -> None:
        if len(cluster.members) < 3:
            return
        while not self._stop.is_set():
            await asyncio.sleep(self._random.uniform(*CALM_S))
            if self._stop.is_set():
                return
            leader = leaders_in(await fleet.statuses(cluster.members)).get(cluster.id, 0)
            followers = [member for member in cluster.members if member != leader]
            of_leader = bool(leader) and self._random.random() < LEADER_SHARE
            node = leader if of_leader else self._random.choice(followers)
            await self._one(cluster, node, of_leader, injector)

    async def _one(self, cluster: Cluster, node: NodeId, leader: bool, injector: Injector) -> None:
        kind, span_s = self._next(), self._random.uniform(*SPAN_S)
        begin_s = time.monotonic()
        try:
            injected = await injector.inject(kind, node, span_s)
        except (TimeoutError, ConnectionError, OperatorError):
            # A node that cannot be told is not broken by this; another one comes next.
            return
        self._tell(kind, injected.what, node, "begin")
        await asyncio.sleep(span_s)
        await injected.undo()
        await injector.back(node)
        self._tell(kind, injected.what, node, "end")
        period = Period(kind, injected.what, cluster.id, node, leader, begin_s, time.monotonic())
        self._faults.append(period)

    def _tell(self, kind: str, what: str, node: NodeId, phase: str) -> None:
        at_s = round(time.monotonic() - self._begun_s, 2)
        operations = self._recorder.operations if self._recorder is not None else 0
        told = {"at_s": at_s, "kind": kind, "what": what, "node": node, "phase": phase}
        self._told({**told, "operations": operations})
