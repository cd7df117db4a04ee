"""Whether the partitioner is compiled is told by a mark, and looked at without loading Numba."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from consensus.cluster import plans
from consensus.sharding import cache, planning


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


def test_arrays_of_a_request_are_of_the_kind_that_is_compiled() -> None:
    assert planning._array(b"\1\0\0\0", "<i4").flags.writeable
