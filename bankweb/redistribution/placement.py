"""Who owns which account: the topology's ranges, and what the bank says has moved since."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bankweb.orchestration.bank import topology
from bankweb.orchestration.hub import hub
from bankweb.orchestration.nodes import best_node
from bankweb.rest.problems import Problem
from consensus.types import AccountId, ClusterId

FRESH_S: Final = 1.0

Ids = npt.NDArray[np.int32]


class Placement:
    """Of the bank on show, as of :attr:`read_at`. Blocks are places of clusters in the topology."""

    def __init__(self) -> None:
        bank = topology()
        self.clusters: list[ClusterId] = [cluster.id for cluster in bank.clusters]
        self.block_of = {cluster: block for block, cluster in enumerate(self.clusters)}
        self.accounts = sum(c.last_account - c.first_account + 1 for c in bank.clusters)
        self.blocks: Ids = np.zeros(self.accounts, dtype=np.int32)
        self.epochs: dict[AccountId, int] = {}
        self.read_at = -1e9
        self._incarnation = -1
        self._begin()

    def _begin(self) -> None:
        self.epochs.clear()
        for block, cluster in enumerate(topology().clusters):
            self.blocks[cluster.first_account - 1 : cluster.last_account] = block

    def moved(self, account: AccountId, cluster: ClusterId, epoch: int) -> None:
        """``account`` belongs to ``cluster`` since ``epoch``, its ``epoch``-th change of owner."""
        if epoch > self.epochs.get(account, 0):
            self.epochs[account] = epoch
            self.blocks[account - 1] = self.block_of[cluster]

    def owner(self, account: AccountId) -> ClusterId:
        return self.clusters[self.blocks[account - 1]]

    async def refresh(self, *, fresh_s: float = FRESH_S) -> None:
        """Ask a node of every cluster what has moved, unless that was done a moment ago.

        What one of them cannot tell another does: each is told of every flip. A cluster out of reach changes
        nothing here.
        """
        if time.monotonic() - self.read_at < fresh_s:
            return
        incarnation = max((hub().nodes[n].status.get("incarnation", 0) for n in hub().nodes), default=0)
        if incarnation != self._incarnation:
            self._incarnation = incarnation
            self._begin()
        for cluster in self.clusters:
            try:
                await self._read(cluster)
            except Problem:
                continue
        self.read_at = time.monotonic()

    async def _read(self, cluster: ClusterId) -> None:
        after: int | None = 0
        while after is not None:
            page: dict[str, Any] = await hub().call(best_node(cluster), "map", after=after)
            for account, owner, epoch in page["rows"]:
                self.moved(account, owner, epoch)
            after = page["next"]
