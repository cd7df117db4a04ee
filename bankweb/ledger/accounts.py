"""REST: accounts."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter

from bankweb.ledger import serializers
from bankweb.ledger.gateway import gateway
from bankweb.orchestration import processes
from bankweb.orchestration.bank import topology
from bankweb.orchestration.hub import hub
from bankweb.orchestration.nodes import best_node, node_row
from bankweb.rest.cursors import CURSOR, LIMIT, listed
from bankweb.rest.fields import INT64_MAX, Param, read_query
from bankweb.rest.problems import Problem, invalid, shown
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer
from consensus.client.reads import BOUND_MS_DEFAULT
from consensus.messages.client import Level
from consensus.topology import Cluster
from consensus.types import AccountId

FROM: Final = Param("from", "int", "First account of the range.", 1, 1)
TO: Final = Param("to", "int", "Last account of the range; left out: the last there is.", least=1)
CONSISTENCY: Final = Param(
    "consistency",
    "str",
    "`linearizable`: sees everything answered before. `lease`: the same, by the leader's clock where the "
    "topology allows it. `bounded`: misses nothing answered `max_age_ms` ago or earlier. `ryw`: sees "
    "what the Session-Position that is sent along names. `eventual`: what some node has applied.",
    "linearizable",
    choices=tuple(level.name.lower() for level in Level),
)
MAX_AGE: Final = Param(
    "max_age_ms", "int", "For `bounded` only: greatest age, milliseconds (1000).", least=1, most=60_000
)
POSITION: Final = OpenApiParameter(
    "Session-Position",
    {
        "type": "string",
        "maxLength": 2_500,
        "pattern": r"^([0-9]{1,18}=[0-9]{1,18})(,[0-9]{1,18}=[0-9]{1,18})*$",
    },
    OpenApiParameter.HEADER,
    description="For `ryw`: the header of the answer whose effects must be seen.",
)
_POSITION: Final = re.compile(r"([0-9]{1,18})=([0-9]{1,18})", re.ASCII)
POSITION_BYTES_MAX: Final = 2_500


class Accounts(BankView):
    @documented(
        "List accounts",
        serializers.AccountPage,
        params=(FROM, TO, CURSOR, LIMIT),
        errors=(503,),
    )
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Balances as the leader of each cluster has applied them; a linearizable one has its own address."""
        query = read_query(request, FROM, TO, CURSOR, LIMIT)
        last = min(query["to"] or INT64_MAX, topology().accounts)
        after = max(query["from"] - 1, query["cursor"] or 0)
        rows: list[dict[str, Any]] = []
        is_cut = False
        for cluster in _owners(after + 1, last):
            if is_cut or len(rows) == query["limit"]:
                break
            body = await hub().call(
                best_node(cluster.id), "accounts", after=after, limit=query["limit"] - len(rows)
            )
            rows += [_row(cluster, account) for account in body["accounts"] if after < account[0] <= last]
            is_cut = body["next"] is not None
        more = bool(rows) and (is_cut or len(rows) == query["limit"]) and rows[-1]["id"] < last
        return answer(listed(request, rows, rows[-1]["id"] if more else None))


def _owners(first: AccountId, last: AccountId) -> list[Cluster]:
    """Clusters that own accounts of a range, in the order of their ranges; none of an empty range."""
    if first > last:
        return []
    owners = [cluster for cluster in topology().clusters if cluster.first_account <= cluster.last_account]
    owners = [
        cluster for cluster in owners if cluster.first_account <= last and cluster.last_account >= first
    ]
    return sorted(owners, key=lambda cluster: cluster.first_account)


def _row(cluster: Cluster, account: list[int]) -> dict[str, Any]:
    number, balance, version, epoch = account
    return {"id": number, "cluster": cluster.id, "balance": balance, "version": version, "epoch": epoch}


class AccountSummary(BankView):
    @documented(
        "Count, smallest, largest and total balance",
        serializers.SummarySerializer,
        params=(FROM, TO),
        errors=(503,),
    )
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Of a range, as each cluster's leader has applied it; not one consistent cut across clusters."""
        query = read_query(request, FROM, TO)
        first, last = query["from"], min(query["to"] or INT64_MAX, topology().accounts)
        asked = [
            hub().call(
                best_node(owner.id),
                "summary",
                **{"from": max(first, owner.first_account), "to": min(last, owner.last_account)},
            )
            for owner in _owners(first, last)
        ]
        parts = [part for part in await asyncio.gather(*asked) if part["count"]]
        summary = {
            "count": sum(part["count"] for part in parts),
            "min": min((part["min"] for part in parts), default=None),
            "max": max((part["max"] for part in parts), default=None),
            "total": sum(part["total"] for part in parts),
        }
        return answer(summary)


class AccountDetail(BankView):
    @documented(
        "Read an account",
        serializers.AccountSerializer,
        params=(CONSISTENCY, MAX_AGE, POSITION),
        errors=(404, 503),
    )
    async def get(self, request: HttpRequest, account: int) -> HttpResponse:
        """Balance, version and the slot they were read at, as new as `consistency` promises.

        `ryw`, `bounded` and `eventual` are answered by followers where they can be. 503 with the reason
        `in_doubt`: a transfer across clusters holds the account, and its decision did not come in time.
        """
        query = read_query(request, CONSISTENCY, MAX_AGE)
        owner = _owner(account)
        level = Level[query["consistency"].upper()]
        if query["max_age_ms"] is not None and level != Level.BOUNDED:
            raise invalid("max_age_ms", "goes with consistency=bounded only")
        seen = _seen(request.headers.get("Session-Position", ""))
        versions = (seen.get(account, 0),) if level == Level.RYW else ()
        bound_ms = query["max_age_ms"] or BOUND_MS_DEFAULT
        values = await gateway().read(account, level, bound_ms if level == Level.BOUNDED else 0, versions)
        if values.outcome != "ok":
            raise _read_problem(values.reason or "unavailable", account)
        version, balance = values.values[account]
        body = {
            "id": account,
            "cluster": owner.id,
            "balance": balance,
            "value": balance,
            "version": version,
            "position": {"cluster": values.cluster, "slot": values.slot},
            "consistency": query["consistency"],
            "epoch": values.epoch,
            "latency_ms": round(values.latency_ms, 3),
        }
        return answer(body, headers={"Session-Position": f"{account}={version}"})


def _owner(account: AccountId) -> Cluster:
    owner = topology().home(account)
    if owner is None:
        raise Problem(
            "not_found", f"there is no account {account}; they are 1..{topology().accounts}", "account"
        )
    return owner


def _seen(header: str) -> dict[int, int]:
    """Account to version, from a Session-Position header."""
    if not header:
        return {}
    parts = header.split(",")
    found = [_POSITION.fullmatch(part.strip()) for part in parts]
    if len(header) > POSITION_BYTES_MAX or not all(found):
        raise invalid("Session-Position", f"must be account=version pairs, not {shown(header)}")
    return {int(match[1]): int(match[2]) for match in found if match}


def _read_problem(reason: str, account: AccountId) -> Problem:
    if reason == "unknown_account":
        return Problem("not_found", f"there is no account {account}", "account")
    return Problem("refused", f"the read was refused until the deadline ({reason})", extra={"reason": reason})


class AccountReplicas(BankView):
    @documented("What each replica holds (PrintBalance)", serializers.ReplicasSerializer, errors=(404,))
    async def get(self, request: HttpRequest, account: int) -> HttpResponse:
        """Its balance as each node of its cluster has applied it; failed nodes tell their own, old state."""
        read_query(request)
        owner = _owner(account)
        await processes.refresh()
        replicas = await asyncio.gather(*(_replica(node, account) for node in owner.members))
        return answer({"account": account, "cluster": owner.id, "replicas": replicas})


async def _replica(node: int, account: AccountId) -> dict[str, Any]:
    row = node_row(node)
    told: dict[str, Any] = {"reachable": False, "balance": None, "version": None, "applied": None}
    body = None
    if row["state"] != "paused":
        with contextlib.suppress(Problem):
            body = await hub().call(node, "accounts", ids=[account])
    if body is not None:
        told = {"reachable": True, "balance": None, "version": None, "applied": body["applied"]}
        for _, balance, version, _ in body["accounts"]:
            told |= {"balance": balance, "version": version}
    return {"node": node, "state": row["state"], "role": row["role"], **told}
