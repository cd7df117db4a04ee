"""The money of a whole running bank from one consistent cut, while transfers go on.

Leaders are told to log AUDIT(k), all replicas apply it and keep the report (:mod:`consensus.bank.audit`); a
cluster that nobody could tell learns of k from its first message of another that has made the cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from consensus.bank import audit
from consensus.bank.audit import AuditReport
from consensus.client.fleet import Ask
from consensus.topology import Cluster, Topology
from consensus.types import AccountId, ClusterId, NodeId

CUT_TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.01
ATTEMPTS_MAX: Final = 5
ROWS: Final = 2_500


class CutError(Exception):
    """There is no cut: a cluster did not make it in time; the text says which."""


class AccountRow(NamedTuple):
    """An account at the cut. Amounts in units of money."""

    id: AccountId
    cluster: ClusterId
    balance: int
    version: int


class BankCut(NamedTuple):
    """One cut. ``total``: all money; ``in_flight``: what was on its way between clusters then."""

    number: int
    incarnation: int
    total: int
    in_flight: int
    reports: list[AuditReport]
    accounts: list[AccountRow] | None


class _Lost(Exception):
    """This attempt cannot succeed any more: a later cut overtook it, or the bank was reset."""


class _Held(NamedTuple):
    incarnation: int
    report: AuditReport
    node: NodeId


async def take_cut(
    topology: Topology,
    ask: Ask,
    nodes: Callable[[Cluster], Sequence[NodeId]],
    *,
    accounts: bool = False,
    timeout_s: float = CUT_TIMEOUT_S,
) -> BankCut:
    """Make a cut that begins after the call, and count the money.

    Args:
        topology: the bank.
        ask: gives a node a command.
        nodes: those of a cluster that may be asked, the likely leader first; looked up anew at each attempt.
        accounts: whether to collect every account as well.
        timeout_s: for everything together.

    Raises:
        CutError: not in time, or others cut or reset the bank all the time.
    """
    clusters = [cluster for cluster in topology.clusters if cluster.nodes]
    missing = [cluster.id for cluster in clusters]
    try:
        async with asyncio.timeout(timeout_s):
            for _ in range(ATTEMPTS_MAX):
                try:
                    return await _attempt(clusters, ask, nodes, accounts, missing)
                except _Lost:
                    await asyncio.sleep(POLL_S)
    except TimeoutError:
        named = ", ".join(map(str, missing))
        raise CutError(f"no cut within {timeout_s:g} s: nothing came of cluster {named}") from None
    raise CutError(f"{ATTEMPTS_MAX} cuts were overtaken by others or by resets")


async def _attempt(
    clusters: list[Cluster],
    ask: Ask,
    nodes: Callable[[Cluster], Sequence[NodeId]],
    accounts: bool,
    missing: list[ClusterId],
) -> BankCut:
    missing[:] = [cluster.id for cluster in clusters]
    lasts = await asyncio.gather(*(_last(cluster, ask, nodes, missing) for cluster in clusters))
    number = 1 + max(lasts)
    missing[:] = [cluster.id for cluster in clusters]
    found = await asyncio.gather(*(_report(cluster, number, ask, nodes, missing) for cluster in clusters))
    held = dict(zip((cluster.id for cluster in clusters), found, strict=True))
    incarnations = {one.incarnation for one in found}
    if len(incarnations) != 1:
        raise _Lost
    incarnation = incarnations.pop()
    reports = [one.report for one in found]
    rows = await _accounts(number, incarnation, held, ask) if accounts else None
    return BankCut(number, incarnation, *audit.total(reports), reports, rows)


async def _last(
    cluster: Cluster, ask: Ask, nodes: Callable[[Cluster], Sequence[NodeId]], missing: list[ClusterId]
) -> int:
    """The number of the cluster's last cut, as far as one of its nodes knows."""
    while True:
        for node in nodes(cluster):
            body = await ask(node, "audit", number=1)
            if body is not None:
                missing.remove(cluster.id)
                return int(body["last"])
        await asyncio.sleep(POLL_S)


async def _report(
    cluster: Cluster,
    number: int,
    ask: Ask,
    nodes: Callable[[Cluster], Sequence[NodeId]],
    missing: list[ClusterId],
) -> _Held:
    """Have the cut made and wait for its report. Only the leader acts on the order, so all nodes get it."""
    while True:
        asked = list(nodes(cluster))
        await asyncio.gather(*(ask(node, "cut", number=number) for node in asked))
        for node in asked:
            body = await ask(node, "audit", number=number)
            if body is None:
                continue
            if body["report"] is not None:
                missing.remove(cluster.id)
                return _Held(int(body["incarnation"]), audit.from_document(body["report"]), node)
            if body["last"] > number:
                raise _Lost
        await asyncio.sleep(POLL_S)


async def _accounts(
    number: int, incarnation: int, held: Mapping[ClusterId, _Held], ask: Ask
) -> list[AccountRow]:
    """Every account at the cut, by number."""
    committed = audit.commits(one.report for one in held.values())
    parts = await asyncio.gather(*(_rows(number, incarnation, one, ask) for one in held.values()))
    found = [
        AccountRow(account, cluster, balance, version)
        for (cluster, one), rows in zip(held.items(), parts, strict=True)
        for account, balance, version in audit.counted(rows, one.report, committed)
    ]
    return sorted(found)


async def _rows(number: int, incarnation: int, held: _Held, ask: Ask) -> list[list[Any]]:
    rows: list[list[Any]] = []
    after: int | None = 0
    while after is not None:
        body = await ask(held.node, "cut_accounts", number=number, after=after, limit=ROWS)
        if body is None or body["accounts"] is None or body["incarnation"] != incarnation:
            raise _Lost
        rows += body["accounts"]
        after = body["next"]
    return rows
