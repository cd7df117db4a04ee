"""Rows of the tables about transactions across clusters."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from consensus.bank.cross import CrossState, FinishedTx, Prepared, Unfinished, tx_key, tx_of_key
from consensus.messages.rows import Row

CROSS_TABLES = ("prepared", "undo", "unfinished", "finished", "finished_below")
_encoder = msgspec.msgpack.Encoder()
_prepared = msgspec.msgpack.Decoder(Prepared)


def cross_keys(cross: CrossState) -> Iterator[tuple[str, int | bytes]]:
    """(table, key) of every row, in a canonical order."""
    yield from (("prepared", key) for key in sorted(map(tx_key, cross.prepared)))
    yield from (("undo", account) for account in sorted(cross.undo))
    yield from (("unfinished", key) for key in sorted(map(tx_key, cross.unfinished)))
    yield from (("finished", key) for key in sorted(map(tx_key, cross.finished)))
    yield from (("finished_below", cluster) for cluster in sorted(cross.finished_below))


def cross_row(cross: CrossState, table: str, key: int | bytes) -> Row | None:
    """The row as it stands now; None when there is none."""
    if isinstance(key, int):
        if table == "undo":
            tx = cross.locks.get(key)
            return None if tx is None else Row(table, key, (tx_key(tx), cross.undo[key]))
        return Row(table, key, (cross.finished_below[key],)) if key in cross.finished_below else None
    tx = tx_of_key(key)
    if table == "prepared":
        held = cross.prepared.get(tx)
        if held is None:
            return None
        role = "coordinator" if held.coordinates else "participant"
        return Row(table, key, (role, held.coordinator, held.at, _encoder.encode(held)))
    if table == "unfinished":
        open_ = cross.unfinished.get(tx)
        if open_ is None:
            return None
        return Row(table, key, (open_.at, int(open_.commit), ",".join(map(str, open_.participants))))
    done = cross.finished.get(tx)
    return None if done is None else Row(table, key, (done.coordinator, done.at, int(done.commit)))


def restore_cross(cross: CrossState, row: Row) -> None:
    """Put a row back. :meth:`CrossState.index` follows after the last one.

    Raises:
        ValueError: the row is not one that :func:`cross_row` makes.
    """
    assert row.values is not None
    if row.table == "prepared":
        prepared = _prepared.decode(row.values[3])
        cross.prepared[prepared.tx] = prepared
    elif row.table == "undo":
        cross.locks[row.key] = tx_of_key(row.values[0])
        cross.undo[row.key] = row.values[1]
    elif row.table == "unfinished":
        at, commit, participants = row.values
        clusters = tuple(int(cluster) for cluster in participants.split(",") if cluster)
        cross.unfinished[tx_of_key(row.key)] = Unfinished(at, bool(commit), clusters)
    elif row.table == "finished":
        coordinator, at, commit = row.values
        cross.finished[tx_of_key(row.key)] = FinishedTx(coordinator, at, bool(commit))
    else:
        cross.finished_below[row.key] = row.values[0]
    if cross_row(cross, row.table, row.key) != row:
        raise ValueError("its columns contradict each other")
