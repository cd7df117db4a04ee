"""Canonical hash of a state, kept up to date at the price of what changed.

Every part of the state (64 neighbouring accounts, one session, one view, the meta row) has a digest; the
hash is the digest of their sum modulo 2**128 (AdHash: Bellare and Micciancio, A New Paradigm for
Collision-Free Hashing, 1997). It finds replicas that differ and damaged checkpoints; it is no
defence against somebody who constructs collisions.
"""

from __future__ import annotations

from collections.abc import Hashable
from hashlib import blake2b
from typing import Final

LEAF_BITS: Final = 6
"""2**6 account ids share a leaf."""
_MODULUS: Final = 1 << 128


class StateHash:
    """Sum of the digests of named parts."""

    def __init__(self) -> None:
        self._parts: dict[Hashable, int] = {}
        self._sum = 0

    def put(self, part: Hashable, content: bytes | None) -> None:
        """Set the canonical bytes of ``part``; None takes the part away."""
        before = self._parts.pop(part, 0)
        after = 0
        if content is not None:
            after = int.from_bytes(blake2b(content, digest_size=16).digest(), "big")
            self._parts[part] = after
        self._sum = (self._sum + after - before) % _MODULUS

    def digest(self) -> bytes:
        """16 bytes over all parts."""
        return blake2b(self._sum.to_bytes(16, "big"), digest_size=16).digest()
