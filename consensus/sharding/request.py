"""What a process that makes a plan is asked; whoever asks need not load the compiled partitioner."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from consensus.sharding.traffic import Ids, Sample

TRANSFERS_PER_ACCOUNT_MIN: Final = 2.0
"""Transactions per account that has any; below, the window says more about chance than about habits."""


class Request(msgspec.Struct):
    """A sample as bytes of its arrays, little-endian, and what to respect (:class:`planner.Options`)."""

    vertices: int
    start: bytes
    accounts: bytes
    reads: bytes
    current: bytes
    k: int
    max_moves: int | None = None
    price: float | None = None
    epsilon: float = 0.03
    load_epsilon: float | None = 0.03
    flat_only: bool = False
    seed: int = 0
    locked: list[int] = []
    """Vertices that must stay."""


def request_of(sample: Sample, current: Ids, k: int, **options: Any) -> Request:
    """The request for a plan that begins at the placement ``current``, blocks from 0 to ``k`` - 1."""
    return Request(
        sample.vertices,
        sample.start.astype("<i8").tobytes(),
        sample.accounts.astype("<i4").tobytes(),
        sample.reads.astype("<i8").tobytes(),
        current.astype("<i4").tobytes(),
        k,
        **options,
    )
