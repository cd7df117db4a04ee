"""Keyed randomness: what is drawn depends on (seed, name, count) and on nothing else.

Every link, disk, client and clock has a stream of its own. Taking one fault away, or one message, changes
what follows from it and leaves the draws of everybody else as they were; that is what makes a failing
schedule shrinkable.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, TypeVar

MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
T = TypeVar("T")


def mix(x: int) -> int:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): 64 well mixed bits of ``x``."""
    x &= MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def key_of(seed: int, *name: object) -> int:
    """64 bits for a stream's name. Names are made of strings and whole numbers."""
    text = repr((seed, name)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


class Draws:
    """One stream of 64-bit numbers, and what is usually made of them."""

    __slots__ = ("count", "key")

    def __init__(self, seed: int, *name: object) -> None:
        self.key = key_of(seed, *name)
        self.count = 0

    def bits(self) -> int:
        """The next 64 bits."""
        self.count += 1
        return mix(self.key + self.count * _GOLDEN)

    def below(self, bound: int) -> int:
        """Uniform in 0 … bound - 1."""
        assert bound > 0
        return self.bits() % bound

    def between(self, low: int, high: int) -> int:
        """Uniform in low … high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        return self.bits() < probability * (MASK + 1)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def subset(self, choices: Sequence[T], probability: float) -> list[T]:
        """Each of ``choices`` with ``probability``, in their order."""
        return [choice for choice in choices if self.chance(probability)]

    def raw(self, size: int) -> bytes:
        """``size`` bytes."""
        return b"".join(self.bits().to_bytes(8, "little") for _ in range(-(-size // 8)))[:size]
