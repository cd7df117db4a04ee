"""A scenario on the bank that a site shows: broken and mended through the site, as its pages then tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consensus.cli.shell.rest import SiteTeller
from consensus.cli.shell.teller import TellerError
from consensus.client.fleet import Fleet
from consensus.cluster.folder import DataFolder
from consensus.cluster.reshard import Reshard, reshard
from consensus.topology import Topology
from consensus.types import NodeId

POLL_S = 0.2
WAIT_S = 30.0


class SiteStage:
    """Make it with :func:`site_stage`."""

    def __init__(self, topology: Topology, secret: str, site: SiteTeller, fleet: Fleet) -> None:
        self.topology = topology
        self.secret = secret
        self._site = site
        self._fleet = fleet
        self._broken: dict[tuple[NodeId, NodeId], None] = {}

    async def begin(self) -> None:
        """No fault in force, and every account as at first."""
        await self._site.order("faults/heal/")
        await self.wait_ready(WAIT_S)
        await self._site.order("reset/")
        await self.wait_ready(WAIT_S)

    async def act(self, node: NodeId, what: str) -> None:
        await self._site.order(f"nodes/{node}/{what}/")

    async def link(self, source: NodeId, target: NodeId, *, cut: bool, delay_ms: float) -> None:
        body = {"from": source, "to": target, "both": False, "cut": cut, "delay_ms": delay_ms, "loss": 0}
        await self._site.order("links/", body)
        self._broken[source, target] = None

    async def heal(self) -> None:
        """Links only: nodes that were failed or killed come back by steps of their own."""
        for source, target in self._broken:
            # A process that was killed has forgotten its faults.
            if await self._fleet.ask_one(source, "status") is not None:
                await self._site.order("links/", {"from": source, "to": target})
        self._broken.clear()

    async def wait_ready(self, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    await self._site.document("health/ready/")
                except TellerError:  # 503: a cluster has no leader yet
                    await asyncio.sleep(POLL_S)
                else:
                    return

    async def reshard(self) -> Reshard:
        return await reshard(self._fleet)


@asynccontextmanager
async def site_stage(folder: DataFolder, topology: Topology, secret: str) -> AsyncIterator[SiteStage]:
    """The bank in ``folder``, whose site runs.

    Raises:
        FileNotFoundError: no site runs there.
        TellerError: the site refused.
    """
    url = folder.url_path.read_text(encoding="ascii").strip()
    async with Fleet(topology, secret) as fleet:
        yield SiteStage(topology, secret, SiteTeller(url, ""), fleet)
