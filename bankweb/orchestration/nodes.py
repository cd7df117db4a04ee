"""What the site knows of each node, as rows for pages and REST.

:func:`node_row` gives a dict:

``id``, ``cluster``, ``host``, ``port``
    from the topology.
``connected``
    whether the worker's control connection is open.
``age_s``
    seconds since its last status, None if there was none.
``state``
    ``up``, ``failed`` (by F), ``paused``, ``killed`` (on purpose), or ``down`` (not connected).
``role``
    ``leader``, ``follower``, ``candidate``, ``learner``; "" unknown.
``ballot``
    ``[round, node]`` or None.
``leader``
    node it follows, 0 unknown.
``watermark``, ``applied``, ``proposed``, ``checkpoint``, ``lag``, ``queue``, ``in_flight``, ``sessions``,
``epoch``, ``incarnation``, ``journal_bytes``
    ints, 0 when unknown.
``uptime_s``
    float.
``actions``
    what may be done to it now, of ``fail recover kill restart pause resume``, in this order.
"""

from __future__ import annotations

from typing import Any, Final

from bankweb.orchestration import processes
from bankweb.orchestration.bank import topology
from bankweb.orchestration.clocks import clocks
from bankweb.orchestration.hub import hub
from bankweb.rest.problems import Problem
from consensus.topology import Cluster
from consensus.types import ClusterId, NodeId

_NUMBERS: Final = (
    "leader",
    "watermark",
    "applied",
    "proposed",
    "checkpoint",
    "lag",
    "queue",
    "in_flight",
    "sessions",
    "epoch",
    "incarnation",
    "journal_bytes",
)
ACTIONS: Final = ("fail", "recover", "kill", "restart", "pause", "resume")
_ACTIONS_IN: Final[dict[str, tuple[str, ...]]] = {
    "up": ("fail", "kill", "restart", "pause"),
    "failed": ("recover", "kill", "restart"),
    "paused": ("kill", "restart", "resume"),
    "killed": ("restart",),
    "down": ("kill", "restart"),
}


def state_of(node: NodeId) -> str:
    """``up``, ``failed``, ``paused``, ``killed`` or ``down``."""
    process = processes.state(node)
    if process in ("paused", "killed"):
        return process
    view = hub().nodes[node]
    if view.connection is None:
        return "down"
    return "failed" if view.status.get("state") == "failed" else "up"


def node_row(node: NodeId) -> dict[str, Any]:
    """What is known of a node, as the module's docstring says."""
    view = hub().nodes[node]
    address = topology().nodes[node]
    state = state_of(node)
    age_s = view.age_s
    ballot = view.status.get("ballot")
    reading = clocks().reading(node)
    return {
        "id": node,
        "cluster": topology().cluster_by_node[node].id,
        "host": address.host,
        "port": address.port,
        "connected": view.connection is not None,
        "age_s": None if age_s is None else round(age_s, 3),
        "state": state,
        "role": "" if state in ("down", "killed") else str(view.status.get("role", "")),
        "ballot": list(ballot) if ballot else None,
        **{name: int(view.status.get(name) or 0) for name in _NUMBERS},
        "uptime_s": float(view.status.get("uptime_s") or 0.0),
        "clock": None if reading is None else reading.document(),
        "actions": list(_ACTIONS_IN[state]),
    }


def node_rows() -> list[dict[str, Any]]:
    return [node_row(node) for node in topology().nodes]


def cluster_row(cluster: Cluster) -> dict[str, Any]:
    """A cluster and its nodes. Its leader is who leads in the highest ballot among nodes that are up."""
    rows = [node_row(node) for node in cluster.members]
    leaders = [row for row in rows if row["role"] == "leader" and row["state"] == "up" and row["ballot"]]
    leader = max(leaders, key=lambda row: row["ballot"], default=None)
    return {
        "id": cluster.id,
        "first_account": cluster.first_account,
        "last_account": cluster.last_account,
        "leader": leader["id"] if leader else 0,
        "ballot": leader["ballot"] if leader else None,
        "nodes": rows,
    }


def cluster_rows() -> list[dict[str, Any]]:
    return [cluster_row(cluster) for cluster in topology().clusters]


def best_node(cluster: ClusterId) -> NodeId:
    """The node of ``cluster`` that knows most: its leader, else the connected one that has applied most.

    Raises:
        Problem: none is connected (503).
    """
    row = cluster_row(topology().cluster_by_id[cluster])
    if row["leader"]:
        return int(row["leader"])
    there = [node for node in row["nodes"] if node["connected"] and node["state"] in ("up", "failed")]
    if not there:
        raise Problem("unavailable", f"no node of cluster {cluster} is connected to the site")
    return int(max(there, key=lambda node: (node["state"] == "up", node["applied"]))["id"])
