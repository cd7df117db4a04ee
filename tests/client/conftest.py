from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from consensus.client.bank import BankClient
from tests.client.fake_node import SECRET, FakeBank, start_fake_bank


@pytest.fixture
async def bank() -> AsyncIterator[FakeBank]:
    """One cluster of three scripted nodes."""
    bank = await start_fake_bank()
    yield bank
    await bank.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[FakeBank], Awaitable[BankClient]]]:
    """A started client of a fake bank, ready unless told otherwise; closed at the end."""
    clients: list[BankClient] = []

    async def start(bank: FakeBank, *, ready: bool = True) -> BankClient:
        client = BankClient(bank.topology, SECRET, name="test")
        clients.append(client)
        await client.start()
        if ready:
            assert await client.ready(5.0)
        return client

    yield start
    for client in clients:
        await client.close()
