"""The replicated log as one node holds it: values accepted or chosen, slot by slot.

Invariants: every slot in ``floor < slot <= watermark`` is present and chosen; a chosen value is never
replaced by another one; ``watermark`` and ``floor`` never go back.
"""

from __future__ import annotations

from consensus.types import Ballot, Slot


class LogEntry:
    """``ballot`` is the highest one the value was accepted in here."""

    __slots__ = ("ballot", "chosen", "value")

    def __init__(self, ballot: Ballot, value: bytes, chosen: bool) -> None:
        self.ballot = ballot
        self.value = value
        self.chosen = chosen


class Log:
    """Slots above ``floor``; everything at or below it is in the checkpointed state only."""

    def __init__(self, floor: Slot) -> None:
        self.floor = floor
        self.watermark = floor
        """Highest slot up to which everything is known to be chosen, and held."""
        self.last = floor
        """Highest slot with a value."""
        self.size_bytes = 0
        self._entries: dict[Slot, LogEntry] = {}

    def get(self, slot: Slot) -> LogEntry | None:
        return self._entries.get(slot)

    def accept(self, slot: Slot, ballot: Ballot, value: bytes) -> None:
        """Hold ``value`` as accepted in ``ballot``. A chosen slot keeps its value."""
        entry = self._entries.get(slot)
        if entry is None:
            self._put(slot, LogEntry(ballot, value, False))
        elif entry.chosen:
            assert entry.value == value, f"slot {slot}: a second value accepted over the chosen one"
            entry.ballot = max(entry.ballot, ballot)
        else:
            self.size_bytes += len(value) - len(entry.value)
            entry.ballot, entry.value = ballot, value

    def learn(self, slot: Slot, ballot: Ballot, value: bytes) -> bool:
        """Hold ``value`` as chosen. Returns False when that was known already."""
        entry = self._entries.get(slot)
        if entry is None:
            if slot <= self.floor:
                return False
            self._put(slot, LogEntry(ballot, value, True))
            return True
        if entry.chosen:
            assert entry.value == value, f"slot {slot}: two values chosen"
            return False
        self.size_bytes += len(value) - len(entry.value)
        entry.ballot, entry.value, entry.chosen = ballot, value, True
        return True

    def advance(self) -> bool:
        """Move the watermark over every chosen slot that follows it. True when it moved."""
        before = self.watermark
        entries = self._entries
        while (entry := entries.get(self.watermark + 1)) is not None and entry.chosen:
            self.watermark += 1
        return self.watermark != before

    def missing_from(self, first: Slot, last: Slot) -> Slot:
        """End of the run of slots from ``first`` on, up to ``last``, that are not known to be chosen."""
        end = first
        while end < last and not ((entry := self._entries.get(end + 1)) and entry.chosen):
            end += 1
        return end

    def truncate(self, floor: Slot) -> None:
        """Forget values at or below ``floor``, which a durable checkpoint covers."""
        for slot in range(self.floor + 1, min(floor, self.last) + 1):
            entry = self._entries.pop(slot, None)
            if entry is not None:
                self.size_bytes -= len(entry.value)
        self.floor = max(self.floor, floor)

    def retained_from(self, slot: Slot, slots_max: int, bytes_max: int) -> Slot:
        """Floor that keeps, at and below ``slot``, no more than so many slots and bytes."""
        floor = slot
        size = 0
        while floor > self.floor and slot - floor < slots_max:
            entry = self._entries.get(floor)
            size += len(entry.value) if entry is not None else 0
            if size > bytes_max:
                break
            floor -= 1
        return floor

    def jump(self, slot: Slot) -> None:
        """The state at ``slot`` was taken over from another node: the log goes on from there."""
        assert slot > self.watermark, f"state of slot {slot} is older than the watermark {self.watermark}"
        self.truncate(slot)
        self.watermark = slot
        self.last = max(self.last, slot)
        self.advance()

    def _put(self, slot: Slot, entry: LogEntry) -> None:
        assert slot > self.floor, f"slot {slot} is at or below the floor {self.floor}"
        self._entries[slot] = entry
        self.size_bytes += len(entry.value)
        if slot > self.last:
            self.last = slot
