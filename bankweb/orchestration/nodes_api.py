"""REST: nodes and clusters."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from bankweb.identity.audit import actor_of
from bankweb.orchestration import actions, processes, serializers
from bankweb.orchestration.bank import topology
from bankweb.orchestration.hub import hub
from bankweb.orchestration.nodes import cluster_rows, node_row, node_rows
from bankweb.rest.cursors import CURSOR, LIMIT, listed
from bankweb.rest.fields import Param, no_body, read_query
from bankweb.rest.parsers import read_bytes
from bankweb.rest.problems import Problem
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer

SLOT: Final = Param(
    "slot",
    "int",
    "Slot whose state hash is wanted: one is kept every 1,000 slots, of a large bank less often.",
)
NONZERO: Final = Param("nonzero", "bool", "Leave out accounts that hold nothing.", default=False)
LOG_LIMIT: Final = LIMIT._replace(most=500)
AFTER: Final = Param("after", "int", "Begin after this slot.", 0)
EXPORT_PIECE: Final = 1_000


def _require_node(node: int) -> None:
    if node not in topology().nodes:
        raise Problem("not_found", f"there is no node {node}")


class Clusters(BankView):
    @documented("List clusters with their nodes", serializers.ClusterPage)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Ranges are the initial ones; `leader` is who leads in the highest ballot known to the site."""
        read_query(request)
        await processes.refresh()
        return answer(listed(request, cluster_rows()))


class Nodes(BankView):
    @documented("List nodes", serializers.NodePage)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """As their last report says, at most about a second old while they are connected."""
        read_query(request)
        await processes.refresh()
        return answer(listed(request, node_rows()))


class NodeDetail(BankView):
    @documented("One node", serializers.NodeDetailSerializer, params=(SLOT,), errors=(404, 409, 503))
    async def get(self, request: HttpRequest, node: int) -> HttpResponse:
        """Its role, ballot, slots, lag, queue and counters; with `slot` the hash of its state there.

        Replicas that hold the same state at a slot have the same hash.
        """
        query = read_query(request, SLOT)
        _require_node(node)
        await processes.refresh()
        if hub().nodes[node].connection is not None and node_row(node)["state"] != "paused":
            hub().nodes[node].status = await hub().call(node, "status")
        row = node_row(node)
        status = hub().nodes[node].status
        at = status.get("hash") or {}
        if query["slot"] is not None:
            at = await hub().call(node, "hash", slot=query["slot"])
        return answer(
            {
                **row,
                "slots": {name: row[name] for name in ("watermark", "applied", "proposed", "checkpoint")},
                "counters": status.get("counters") or {},
                "hash_slot": at.get("slot"),
                "state_hash": at.get("hash") or None,
            }
        )


class NodeDatabase(BankView):
    @documented(
        "Accounts of a node that changed (PrintDB)",
        serializers.DatabaseSerializer,
        params=(NONZERO, CURSOR, LIMIT),
        errors=(404, 409, 503),
    )
    async def get(self, request: HttpRequest, node: int) -> HttpResponse:
        """Accounts with a version above 0, by number, as this node has applied them."""
        query = read_query(request, NONZERO, CURSOR, LIMIT)
        _require_node(node)
        after, limit = query["cursor"] or 0, query["limit"]
        body = await hub().call(node, "accounts", after=after, limit=limit, changed=True)
        rows = [stored(row) for row in body["accounts"]]
        if query["nonzero"]:
            rows = [row for row in rows if row["balance"]]
        return answer({"node": node, "applied": body["applied"], **listed(request, rows, body["next"])})


class NodeLog(BankView):
    @documented(
        "Log of a node (PrintLog)",
        serializers.LogPage,
        params=(AFTER, CURSOR, LOG_LIMIT),
        errors=(404, 409, 503),
    )
    async def get(self, request: HttpRequest, node: int) -> HttpResponse:
        """Its slots in order, as far as it still holds them, with what they contain."""
        query = read_query(request, AFTER, CURSOR, LOG_LIMIT)
        _require_node(node)
        after = query["after"] if query["cursor"] is None else query["cursor"]
        body = await hub().call(node, "log", after=after, limit=query["limit"])
        return answer(listed(request, body["entries"], body["next"]))


class NodeLocks(BankView):
    @documented("Locks of a node", serializers.LocksSerializer, errors=(404, 409, 503))
    async def get(self, request: HttpRequest, node: int) -> HttpResponse:
        """Accounts that a prepared transaction holds, as this node has applied it, and who waits for one.

        Waiting is the leader's: other nodes tell of nobody.
        """
        read_query(request)
        _require_node(node)
        return answer({"node": node, **await hub().call(node, "locks")})


class NodeWal(BankView):
    @documented("Write-ahead log of a node (undo records)", serializers.WalSerializer, errors=(404, 409, 503))
    async def get(self, request: HttpRequest, node: int) -> HttpResponse:
        """For each account that a prepared transaction holds what an abort would take back.

        Also the decisions of transactions that this cluster coordinates and that some participant has not
        acknowledged.
        """
        read_query(request)
        _require_node(node)
        return answer({"node": node, **await hub().call(node, "wal")})


class NodeExport(BankView):
    @documented("Everything a node holds on accounts", serializers.ExportSerializer, errors=(404, 409, 503))
    async def get(self, request: HttpRequest, node: int) -> HttpResponse:
        """All its accounts as one document."""
        read_query(request)
        _require_node(node)
        rows: list[dict[str, Any]] = []
        applied, after = None, 0
        while after is not None:
            body = await hub().call(node, "accounts", after=after, limit=EXPORT_PIECE)
            rows += [stored(row) for row in body["accounts"]]
            applied = body["applied"] if applied is None else applied
            after = body["next"]
        row = node_row(node)
        head = {
            "node": node,
            "cluster": row["cluster"],
            "incarnation": row["incarnation"],
            "applied": applied,
        }
        headers = {"Content-Disposition": f'attachment; filename="node-{node}.json"'}
        return answer({**head, "accounts": rows}, headers=headers)


def stored(row: list[int]) -> dict[str, int]:
    """An account as a node tells it, with names."""
    number, balance, version, epoch = row
    return {"id": number, "balance": balance, "version": version, "epoch": epoch}


class _NodeAction(BankView):
    """One thing that a node can be told to do."""

    action = ""

    async def _act(self, request: HttpRequest, node: int) -> HttpResponse:
        read_query(request)
        no_body(request, read_bytes(request))
        return answer({"result": await actions.act_on_node(actor_of(request), node, self.action)})


def _node_action(action: str, summary: str, text: str) -> Any:
    async def post(self: _NodeAction, request: HttpRequest, node: int) -> HttpResponse:
        return await self._act(request, node)

    post.__doc__ = text
    described = documented(summary, serializers.DoneSerializer, errors=(404, 409, 413, 503))(post)
    return type(f"Node{action.title()}", (_NodeAction,), {"action": action, "post": described})


NODE_ACTIONS: Final = {
    "fail": _node_action(
        "fail",
        "Fail a node (F)",
        "It acts disconnected from peers and clients, its timers stand still, it keeps its state.",
    ),
    "recover": _node_action("recover", "Recover a failed node (R)", "It takes part again."),
    "kill": _node_action("kill", "Kill a node's process", "SIGKILL; it stays down until `restart`."),
    "restart": _node_action(
        "restart", "Start a node's process", "After ending the one that still runs, if any."
    ),
    "pause": _node_action("pause", "Stop a node's process for a while", "SIGSTOP; `resume` lets it run on."),
    "resume": _node_action("resume", "Let a paused process run on", "SIGCONT."),
}
