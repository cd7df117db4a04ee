"""State of migrations: batches that leave and come, accounts that are taken, where moved ones went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from consensus.messages.migration import MovedAccount, Step
from consensus.messages.rows import Row
from consensus.types import AccountId, ClusterId, Slot

MOVE_TABLES: Final = ("batches", "parts", "incoming", "moves_below", "forwards")
PARTS_KEPT: Final = 4_096
"""Parts of plans whose answer is remembered. A planner has few under way and asks again within seconds."""
NUMBER_BYTES: Final = 8
Part = tuple[bytes, int]
"""A plan and the part of it."""
BatchId = tuple[ClusterId, int]
"""Source and number."""


class Phase:
    """How far a batch is at its source."""

    TAKEN = 1
    FLIPPED = 2
    ROLLED_BACK = 3


class Leaving(msgspec.Struct, array_like=True, gc=False):
    """A batch at its source, until its destination has activated or dropped it.

    ``money``: the balances that left with the flip; 0 before.
    """

    part: Part
    destination: ClusterId
    accounts: tuple[AccountId, ...]
    slot: Slot
    phase: int = Phase.TAKEN
    money: int = 0


class Arriving(msgspec.Struct, array_like=True, gc=False):
    """A batch at its destination. ``accounts`` are those installed; empty once they are owned or dropped."""

    step: int
    accounts: tuple[MovedAccount, ...] = ()


class PartAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a part of a plan became: the batch's number, the accounts taken, and how far they have come.

    ``phase`` is 0 when nothing could be taken.
    """

    number: int
    taken: tuple[AccountId, ...]
    phase: int = 0


class Forward(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where an account went that was owned here."""

    cluster: ClusterId
    epoch: int


class MoveState:
    """All of it, for one cluster. ``touched``: (table, key) of what changed, for hash and checkpoint."""

    def __init__(self) -> None:
        self.batches: dict[int, Leaving] = {}
        self.parts: dict[Part, PartAnswer] = {}
        self.incoming: dict[BatchId, Arriving] = {}
        self.moves_below: dict[ClusterId, int] = {}
        self.forwards: dict[AccountId, Forward] = {}
        self.taken: dict[AccountId, int] = {}
        """Accounts that refuse transactions, and the batch they are in. Follows from ``batches``."""
        self.next_number = 1
        """Of this source's next batch. Follows from ``parts``, which always holds the last one."""
        self.touched: set[tuple[str, int | bytes]] = set()

    # --- the source's side -------------------------------------------------------------

    def take(self, number: int, batch: Leaving) -> None:
        self.batches[number] = batch
        self.taken.update(dict.fromkeys(batch.accounts, number))
        self.touched.add(("batches", number))

    def release(self, number: int, phase: int, money: int = 0) -> None:
        """The accounts are no longer taken: they left (``FLIPPED``) or stay (``ROLLED_BACK``)."""
        batch = self.batches[number]
        assert batch.phase == Phase.TAKEN
        for account in batch.accounts:
            assert self.taken.pop(account) == number
        self.batches[number] = msgspec.structs.replace(batch, phase=phase, money=money)
        self.touched.add(("batches", number))
        answer = self.parts.get(batch.part)
        if answer is not None:
            self.parts[batch.part] = msgspec.structs.replace(answer, phase=phase)
            self.touched.add(("parts", part_key(batch.part)))

    def finish(self, number: int) -> None:
        batch = self.batches.get(number)
        if batch is not None and batch.phase != Phase.TAKEN:
            del self.batches[number]
            self.touched.add(("batches", number))

    def answer(self, part: Part, answer: PartAnswer) -> None:
        """Remember what a part became; above :data:`PARTS_KEPT` the oldest is forgotten."""
        assert answer.number == self.next_number
        self.next_number += 1
        self.parts[part] = answer
        self.touched.add(("parts", part_key(part)))
        if len(self.parts) > PARTS_KEPT:
            oldest = next(iter(self.parts))
            del self.parts[oldest]
            self.touched.add(("parts", part_key(oldest)))

    @property
    def below(self) -> int:
        """Every batch of this source numbered lower is over."""
        return min(self.batches, default=self.next_number)

    # --- the destination's side -----------------------------------------------------------

    def arrive(self, batch: BatchId, arriving: Arriving) -> None:
        self.incoming[batch] = arriving
        self.touched.add(("incoming", batch_key(batch)))

    def pass_below(self, source: ClusterId, below: int) -> None:
        """The source is done with every batch numbered below: forget what became of them here."""
        if below <= self.moves_below.get(source, 0):
            return
        self.moves_below[source] = below
        self.touched.add(("moves_below", source))
        for batch in [b for b in self.incoming if b[0] == source and b[1] < below]:
            del self.incoming[batch]
            self.touched.add(("incoming", batch_key(batch)))

    def step(self, batch: BatchId) -> int:
        """How far a batch of another cluster is here."""
        arriving = self.incoming.get(batch)
        return Step.UNKNOWN if arriving is None else arriving.step

    # --- where accounts are -----------------------------------------------------------------

    def forward(self, account: AccountId, forward: Forward | None) -> None:
        """Note where an account went; None when it came back."""
        if forward is None:
            if self.forwards.pop(account, None) is None:
                return
        else:
            self.forwards[account] = forward
        self.touched.add(("forwards", account))

    # --- restoring ----------------------------------------------------------------------------

    def index(self) -> None:
        """Rebuild what is not stored, after rows were put in, and the order of ``parts``."""
        self.parts = dict(sorted(self.parts.items(), key=lambda item: item[1].number))
        self.next_number = 1 + max([answer.number for answer in self.parts.values()], default=0)
        self.taken = {
            account: number
            for number, batch in sorted(self.batches.items())
            if batch.phase == Phase.TAKEN
            for account in batch.accounts
        }


# --- rows ---------------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
_batch = msgspec.msgpack.Decoder(tuple[AccountId, ...])
_arriving = msgspec.msgpack.Decoder(tuple[MovedAccount, ...])


def part_key(part: Part) -> bytes:
    return part[0] + part[1].to_bytes(NUMBER_BYTES, "big")


def batch_key(batch: BatchId) -> bytes:
    return batch[0].to_bytes(NUMBER_BYTES, "big") + batch[1].to_bytes(NUMBER_BYTES, "big")


def _part_of(key: bytes) -> Part:
    return key[:-NUMBER_BYTES], int.from_bytes(key[-NUMBER_BYTES:], "big")


def _batch_of(key: bytes) -> BatchId:
    return int.from_bytes(key[:NUMBER_BYTES], "big"), int.from_bytes(key[NUMBER_BYTES:], "big")


def move_keys(moves: MoveState) -> Iterator[tuple[str, int | bytes]]:
    """(table, key) of every row. Parts in the order they were made, the rest ascending."""
    yield from (("batches", number) for number in sorted(moves.batches))
    yield from (("parts", part_key(part)) for part in moves.parts)
    yield from (("incoming", batch_key(batch)) for batch in sorted(moves.incoming))
    yield from (("moves_below", source) for source in sorted(moves.moves_below))
    yield from (("forwards", account) for account in sorted(moves.forwards))


def move_row(moves: MoveState, table: str, key: int | bytes) -> Row | None:
    """The row as it stands now; None when there is none."""
    if isinstance(key, bytes):
        if table == "parts":
            answer = moves.parts.get(_part_of(key))
            if answer is None:
                return None
            return Row(table, key, (answer.number, answer.phase, _encoder.encode(answer.taken)))
        arriving = moves.incoming.get(_batch_of(key))
        return (
            None if arriving is None else Row(table, key, (arriving.step, _encoder.encode(arriving.accounts)))
        )
    if table == "batches":
        batch = moves.batches.get(key)
        if batch is None:
            return None
        accounts = _encoder.encode(batch.accounts)
        part = part_key(batch.part)
        return Row(table, key, (part, batch.destination, batch.phase, batch.slot, batch.money, accounts))
    if table == "moves_below":
        return Row(table, key, (moves.moves_below[key],)) if key in moves.moves_below else None
    forward = moves.forwards.get(key)
    return None if forward is None else Row(table, key, (forward.cluster, forward.epoch))


def restore_move(moves: MoveState, row: Row) -> None:
    """Put a row back. :meth:`MoveState.index` follows after the last one.

    Raises:
        ValueError: the row is not one that :func:`move_row` makes.
    """
    assert row.values is not None
    values = row.values
    if row.table == "batches":
        part, destination, phase, slot, money, accounts = values
        moves.batches[row.key] = Leaving(
            _part_of(part), destination, _batch.decode(accounts), slot, phase, money
        )
    elif row.table == "parts":
        moves.parts[_part_of(row.key)] = PartAnswer(values[0], _batch.decode(values[2]), values[1])
    elif row.table == "incoming":
        moves.incoming[_batch_of(row.key)] = Arriving(values[0], _arriving.decode(values[1]))
    elif row.table == "moves_below":
        moves.moves_below[row.key] = values[0]
    else:
        moves.forwards[row.key] = Forward(*values)
    if move_row(moves, row.table, row.key) != row:
        raise ValueError("its columns contradict each other")
