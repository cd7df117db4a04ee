"""Banks of nodes in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.node.cluster import Bank, topology


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    """A started cluster of three."""
    bank = Bank(topology(), tmp_path)
    bank.start()
    await bank.leader()
    yield bank
    await bank.close()
