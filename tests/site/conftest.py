"""The site under test: a small topology, fakes for the bank and its workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consensus import topology_file
from tests.site.fake_bench import FakeBench
from tests.site.fakes import FakeBank, FakeWorker, Site


@pytest.fixture
def bank() -> FakeBank:
    return FakeBank(accounts=60, balance=10)


@pytest.fixture
def small_topology(tmp_path: Path, settings: Any) -> AsyncIterator[None]:
    """Two clusters of three nodes, accounts 1..60 with 10 each."""
    from bankweb.orchestration.bank import topology

    path = tmp_path / "topology.yaml"
    text = topology_file.dump(topology_file.generate(clusters=2, nodes=3, accounts=60, balance=10))
    path.write_text(text, encoding="utf-8")
    settings.BANK_TOPOLOGY = str(path)
    settings.BANK_SECRET = "the-secret"
    settings.BANK_TOKEN = "the-token"
    topology.cache_clear()
    yield
    topology.cache_clear()


@pytest.fixture
async def site(
    transactional_db: None, small_topology: None, bank: FakeBank, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    """The whole ASGI application on an empty database, its bank a fake."""
    from bankweb import store
    from bankweb.ledger import ambient, doubts, gateway, steps
    from bankweb.observatory import live
    from bankweb.orchestration import experiments, faults, hub, processes
    from bankweb.testsets import runs

    hub.forget()
    experiments.experiments.cache_clear()
    ambient.ambient.cache_clear()
    live.forget()
    processes.forget()
    monkeypatch.setattr(gateway, "client_factory", lambda: bank)
    from bankweb import asgi

    monkeypatch.setattr(runs, "bank_factory", FakeBench.open)
    monkeypatch.setattr(runs, "shown_factory", FakeBench.open)
    live.live()
    steps.steps()
    yield Site(asgi.application)
    await ambient.ambient().close()
    await runs.close()
    await doubts.close()
    await steps.close()
    await gateway.close()
    faults.forget_links()
    store.close()


@pytest.fixture
async def workers(site: Site) -> AsyncIterator[dict[int, FakeWorker]]:
    """Six workers, all connected and heard; 1 and 4 lead."""
    found = {node: FakeWorker(site.application, node, leader=1 if node < 4 else 4) for node in range(1, 7)}
    for worker in found.values():
        await worker.connect()
        await worker.report()
    yield found
    for worker in found.values():
        await worker.close()
