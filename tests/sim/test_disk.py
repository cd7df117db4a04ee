"""The simulated disk: what a crash leaves of the write in flight is what the next start finds."""

from __future__ import annotations

import pytest

from consensus.effects import Append
from consensus.messages.records import AcceptedValue
from consensus.simulation.disk import Disk
from consensus.types import Ballot

BALLOT = Ballot(1, 1)
RECORDS = [AcceptedValue(BALLOT, slot, bytes([slot]) * 300, 0) for slot in range(1, 9)]


@pytest.mark.parametrize("segment_bytes", [1 << 16, 2_048])
def test_what_survives_a_crash_is_what_a_start_finds(segment_bytes: int) -> None:
    """The invariants count a survivor as synced (seed 1771: a part of a write did, and was not counted)."""
    lengths = set()
    for seed in range(200):
        disk = Disk(seed, 1, segment_bytes)
        disk.format(BALLOT)
        disk.recover(True)
        disk.append([Append(record, record.slot) for record in RECORDS])
        disk.start_write()
        written = disk.writing.records if disk.writing is not None else []
        survived = disk.crash()
        recovered, loss = disk.recover(False)
        found = [record for record in recovered.records if isinstance(record, AcceptedValue)]
        assert found == survived == written[: len(survived)] and not loss
        lengths.add(len(survived))
    assert len(lengths) > 3, "nothing, something, or all of it"
