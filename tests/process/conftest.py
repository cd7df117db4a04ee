"""Banks of real workers on real disks, one at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consensus import topology_file
from consensus.cluster import ports
from consensus.cluster.launcher import LocalBank
from consensus.topology import Topology


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.process)


def course_topology(accounts: int = 60, balance: int = 1_000) -> Topology:
    """Three clusters of three on free ports, few accounts so that each is touched often."""
    return topology_file.with_ports(topology_file.generate(3, 3, accounts, balance), ports.free_ports(9))


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[LocalBank]:
    async with LocalBank(course_topology(), tmp_path / "bank") as running:
        yield running
