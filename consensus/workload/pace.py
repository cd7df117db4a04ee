"""When operations of an open loop are meant to begin, whatever the bank does meanwhile."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from consensus.workload.generator import LoadError

POISSON: Final = "poisson"
CONSTANT: Final = "constant"
ARRIVALS: Final = (POISSON, CONSTANT)
REPLAY_ROWS_MAX: Final = 10_000_000
COLUMNS: Final = ("time", "from", "to", "amount")


class Due(NamedTuple):
    """An operation: seconds after the start, and its legs; None: whatever the generator draws."""

    at_s: float
    legs: tuple[int, int, int, int] | None


def arrivals(rate: float, kind: str, seed: str) -> Iterator[Due]:
    """Endless arrivals, ``rate`` a second: evenly spaced, or a Poisson process (exponential gaps)."""
    assert rate > 0
    assert kind in ARRIVALS
    draw = random.Random(seed)
    gap_s = 1.0 / rate
    at_s = 0.0 if kind == POISSON else draw.random() * gap_s  # streams of one run do not march in step
    while True:
        if kind == POISSON:
            at_s += draw.expovariate(rate)
        yield Due(at_s, None)
        if kind == CONSTANT:
            at_s += gap_s


def read_replay(path: str) -> list[Due]:
    """Transfers of a CSV file, in order of time; the first begins at 0.

    The file has a header ``time,from,to,amount`` (any order, more columns are ignored); ``time`` in seconds.

    Raises:
        LoadError: the file cannot be read, or a row makes no sense; the text names the line.
    """
    rows: list[Due] = []
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            missing = [name for name in COLUMNS if name not in names]
            if missing:
                raise LoadError(f"replay: {path} has no column {', '.join(missing)}")
            reader.fieldnames = names
            rows = [_row(path, reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LoadError(f"replay: {path} cannot be read: {error}") from error
    if not 1 <= len(rows) <= REPLAY_ROWS_MAX:
        raise LoadError(f"replay: {path} has {len(rows)} transfers; 1 to {REPLAY_ROWS_MAX} can be replayed")
    rows.sort(key=lambda due: due.at_s)
    start_s = rows[0].at_s
    return [Due(at_s - start_s, legs) for at_s, legs in rows]


def _row(path: str, line: int, row: dict[str, str]) -> Due:
    try:
        at_s = float(row["time"])
        sender, receiver, amount = int(row["from"]), int(row["to"]), int(row["amount"])
    except (TypeError, ValueError) as error:
        raise LoadError(f"replay: {path}, line {line}: {error}") from error
    if not 0 <= at_s < 1e12 or amount <= 0 or sender == receiver:
        raise LoadError(
            f"replay: {path}, line {line}: needs a time from 0, an amount above 0 and two different accounts"
        )
    return Due(at_s, (sender, -amount, receiver, amount))


class Pace:
    """The next operation that is due, one at a time."""

    def __init__(self, source: Iterable[Due]) -> None:
        self._source = iter(source)
        self._next = next(self._source, None)

    @property
    def next(self) -> Due | None:
        """None: nothing comes any more."""
        return self._next

    def take(self) -> Due:
        due = self._next
        assert due is not None
        self._next = next(self._source, None)
        return due
