"""What a node found on its disk when it started; the storage layer reads it, the replica begins from it."""

from __future__ import annotations

import msgspec

from consensus.messages.records import Record
from consensus.messages.rows import Row


class Recovered(msgspec.Struct):
    """``rows`` is the last checkpoint (empty: the genesis state); ``records`` the journal, in order."""

    incarnation: int
    bootstrap: bool
    """A folder made just now for a new incarnation: promise (1, first node) holds from the start."""
    learner: bool
    """Something synced may be missing: take no part in votes until the others have brought us up."""
    rows: list[Row] = []
    records: list[Record] = []
