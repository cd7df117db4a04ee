"""The network between nodes, and between clients and nodes: what is lost, late, doubled, or cut off.

Weaker than the TCP connections of the real thing on purpose: single messages get lost, overtake each other
and arrive twice, also in a later life of the node they were sent to. A core that is right on this network is
right on the real one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from consensus.simulation.draws import key_of, mix

End = int
"""A node's id, or minus a client's number."""
_GOLDEN: Final = 0x9E3779B97F4A7C15
_BITS: Final = 20
_LOW: Final = (1 << _BITS) - 1


class Profile(msgspec.Struct, frozen=True):
    """How a network behaves when nobody tampers with it. Probabilities per message, times in microseconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay_min_us: int = 100
    delay_spread_us: int = 400
    tail: float = 0.0
    """Messages that take up to ``tail_us`` longer: these are what reorders."""
    tail_us: int = 20_000


QUIET: Final = Profile()


class Link:
    """One direction between two ends."""

    __slots__ = ("count", "cut", "delay_us", "key", "loss")

    def __init__(self, key: int) -> None:
        self.key = key
        self.count = 0
        self.cut = False
        self.delay_us = 0
        """Added to every message, by a fault."""
        self.loss = 0.0
        """Lost on top of the profile's losses, by a fault."""


class Network:
    """Draws depend on (seed, link, count of messages on it)."""

    def __init__(self, seed: int, profile: Profile) -> None:
        self._seed = seed
        self._links: dict[tuple[End, End], Link] = {}
        self.sent = 0
        self.lost = 0
        self.doubled = 0
        self.profile = profile

    @property
    def profile(self) -> Profile:
        return self._profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        self._profile = profile
        self._loss = int(profile.loss * (_LOW + 1))
        self._duplicate = int(profile.duplicate * (_LOW + 1))
        self._tail = int(profile.tail * 256)

    def link(self, source: End, target: End) -> Link:
        found = self._links.get((source, target))
        if found is None:
            found = self._links[source, target] = Link(key_of(self._seed, "link", source, target))
        return found

    def delays(self, source: End, target: End) -> tuple[int, ...]:
        """When the copies of a message sent now arrive, in microseconds from now; empty when it is lost."""
        link = self._links.get((source, target)) or self.link(source, target)
        link.count += 1
        self.sent += 1
        bits = mix(link.key + link.count * _GOLDEN)
        lost = self._loss
        if link.loss:
            lost += int(link.loss * (_LOW + 1))
        if link.cut or (bits & _LOW) < lost:
            self.lost += 1
            return ()
        bits >>= _BITS
        first = link.delay_us + self._delay(bits >> _BITS)
        if (bits & _LOW) < self._duplicate:
            self.doubled += 1
            return (first, link.delay_us + self._delay(mix(bits)))
        return (first,)

    def _delay(self, bits: int) -> int:
        profile = self._profile
        delay = profile.delay_min_us
        if self._tail and (bits & 0xFF) < self._tail:
            delay += mix(bits) % profile.tail_us
        return delay + (bits >> 8 & 0xFFFF) * profile.delay_spread_us // 0x10000

    # --- faults ----------------------------------------------------------------

    def cut(self, source: End, target: End) -> None:
        """Nothing gets from ``source`` to ``target`` any more; the other direction is a link of its own."""
        self.link(source, target).cut = True

    def heal(self, source: End, target: End) -> None:
        link = self.link(source, target)
        link.cut, link.delay_us, link.loss = False, 0, 0.0

    def heal_all(self) -> None:
        for link in self._links.values():
            link.cut, link.delay_us, link.loss = False, 0, 0.0
