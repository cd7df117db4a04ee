"""Audit cuts over the whole bank, taken through the workers' control connections."""

from __future__ import annotations

from typing import Final

from bankweb.orchestration.bank import topology
from bankweb.orchestration.hub import hub
from bankweb.orchestration.nodes import cluster_row
from bankweb.rest.problems import Problem
from consensus.cluster.cut import BankCut, CutError, take_cut
from consensus.topology import Cluster
from consensus.types import NodeId

TAKERS_MAX: Final = 20
"""Callers that wait for their turn; cuts are made one after the other, so that none overtakes another."""

_takers = 0


async def take(*, accounts: bool) -> BankCut:
    """A cut that begins after the call.

    Raises:
        Problem: a cluster cannot make it, or too many ask (503).
    """
    global _takers  # noqa: PLW0603  (one per process)
    if _takers >= TAKERS_MAX:
        raise Problem("overloaded", f"{TAKERS_MAX} audits wait for their turn")
    _takers += 1
    try:
        async with hub().cutting:
            return await take_cut(topology(), hub().ask, _nodes, accounts=accounts)
    except CutError as error:
        raise Problem("unavailable", str(error)) from None
    finally:
        _takers -= 1


def _nodes(cluster: Cluster) -> list[NodeId]:
    """Those of a cluster that can answer, its leader first. Failed ones can, but know of no new cut."""
    row = cluster_row(cluster)
    there = [node for node in row["nodes"] if node["connected"] and node["state"] == "up"]
    return [node["id"] for node in sorted(there, key=lambda node: node["id"] != row["leader"])]
