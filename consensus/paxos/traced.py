"""Slots that the trace tells of from their acceptance to their application."""

from __future__ import annotations

from typing import Final

from consensus.types import Slot

TRACED_MAX: Final = 256
"""A state that was taken over passes slots that were never applied here: these are forgotten then."""


class TracedSlots:
    """Those of one replica. What is here decides which events are told, and nothing else."""

    def __init__(self) -> None:
        self._slots: set[Slot] = set()
        self._unchosen: Slot = 0
        """The highest that is not known to be chosen; 0: none."""

    def note(self, slot: Slot) -> None:
        """``slot`` is accepted, and events of it are wanted."""
        if len(self._slots) >= TRACED_MAX:
            self._slots.clear()
        self._slots.add(slot)
        self._unchosen = max(self._unchosen, slot)

    def chosen(self, watermark: Slot) -> bool:
        """Whether one of them may be chosen now that all up to ``watermark`` are."""
        wanted = self._unchosen > 0
        if watermark >= self._unchosen:
            self._unchosen = 0
        return wanted

    def applied(self, slot: Slot) -> bool:
        """Whether ``slot``, which is applied now, is one of them."""
        if slot not in self._slots:
            return False
        self._slots.discard(slot)
        return True
