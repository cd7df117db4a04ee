"""Whether the partitioner is compiled is told by a mark, and looked at without loading Numba."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from consensus.cluster import plans
from consensus.cluster.private import topology_of
from consensus.sharding import cache, planning
from consensus.sharding.traffic import Sample


async def test_what_is_warm_is_not_warmed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[str, ...]] = []

    class Over:
        returncode = 0

        async def communicate(self) -> tuple[None, bytes]:
            return None, b""

    async def begin(*command: str, **options: object) -> Over:
        begun.append(command[1:])
        return Over()

    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", begin)
    await plans.warm()
    assert begun == [("-m", "consensus.sharding.planning", "--warm")]
    cache.warmed()
    await plans.warm()
    assert len(begun) == 1


async def test_that_it_could_not_be_compiled_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failed:
        returncode = 1

        async def communicate(self) -> tuple[None, bytes]:
            return None, b"no room"

    async def begin(*command: str, **options: object) -> Failed:
        return Failed()

    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", begin)
    with pytest.raises(plans.PlanError, match="no room"):
        await plans.warm()


async def test_a_plan_does_not_wait_for_what_is_compiled_at_leisure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Leisure:
        """Compiles until it is killed."""

        returncode: int | None = None

        def __init__(self) -> None:
            self.ended = asyncio.Event()

        async def communicate(self) -> tuple[None, bytes]:
            await self.ended.wait()
            return None, b""

        def kill(self) -> None:
            self.returncode = -9
            self.ended.set()

    at_leisure, asked = Leisure(), asyncio.Event()

    async def begin(*command: str, **options: object) -> Leisure:
        if command[-1] != "--warm":
            raise ConnectionError("the plan's own process is not what this is about")
        asked.set()
        return at_leisure

    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", begin)
    warming = asyncio.create_task(plans.warm())
    await asked.wait()
    zeros = np.zeros(9, dtype=np.int64)
    empty = Sample(9, np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32), zeros)
    with pytest.raises(ConnectionError):
        await plans.make_plan(empty, plans.Placement(topology_of(3, 1, 9, 1)), {})
    await warming
    assert at_leisure.returncode == -9


def test_arrays_of_a_request_are_of_the_kind_that_is_compiled() -> None:
    assert planning._array(b"\1\0\0\0", "<i4").flags.writeable
