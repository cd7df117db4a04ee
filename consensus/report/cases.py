"""The fifteen cases of the course's form, as data: what is run, and what has to come of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec


class Case(msgspec.Struct, frozen=True):
    """One case.

    Attributes:
        number: as on the form.
        title: what it is about.
        sets: numbers of the sets of ``file`` to run, each judged by the oracle of test sets.
        benches: options of ``manage.py bench``, one run each, on a bank of their own.
        reshard: run PrintReshard afterwards, and read the balance of an account that moved.
        new_leaders: clusters that must have elected a leader in the sets.
    """

    number: int
    title: str
    sets: tuple[int, ...] = ()
    file: str = "course-testcases.csv"
    benches: tuple[tuple[str, ...], ...] = ()
    reshard: bool = False
    new_leaders: tuple[int, ...] = ()
    clusters: int = 3
    nodes: int = 3


def _load(transactions: int, reads: int, cross: int, *more: str) -> tuple[str, ...]:
    return (
        *("--transactions", str(transactions), "--read-only", str(reads), "--cross-shard", str(cross)),
        *("--clients", "50", *more),
    )


CASES: Final = (
    Case(1, "Transfers inside each cluster, everybody up", sets=(1,)),
    Case(2, "Transfers inside clusters while followers fail", sets=(2,)),
    Case(3, "A leader fails, another takes over", sets=(3,), new_leaders=(3,)),
    Case(4, "A sender without the money", sets=(4,)),
    Case(5, "Across clusters with one node down in each", sets=(5,)),
    Case(6, "Across clusters while nodes fail one by one", sets=(6,)),
    Case(7, "Clusters that lose their majority", sets=(7,)),
    Case(8, "Leaders fail under transfers across clusters", sets=(8,)),
    Case(9, "Contention on a few accounts, then PrintReshard", sets=(9,), reshard=True),
    Case(10, "Three hundred independent transfers, Performance", sets=(10,)),
    Case(
        11,
        "200 transactions, 80 % read-write, 20 % of them across clusters, uniform",
        benches=(_load(200, 20, 20, "--distribution", "uniform"),),
    ),
    Case(
        12,
        "The same load under two consistency levels",
        benches=tuple(_load(5_000, 50, 20, "--consistency", level) for level in ("linearizable", "eventual")),
    ),
    Case(
        13,
        "2,000 transactions, 90 % read-write, 20 % across clusters, highly skewed, then PrintReshard",
        benches=(_load(2_000, 10, 20, "--distribution", "zipf", "--skewness", "1.5"),),
        reshard=True,
    ),
    Case(
        14,
        "30,000 transactions, all read-write, none across clusters, uniform",
        benches=(_load(30_000, 0, 0, "--distribution", "uniform"),),
    ),
    Case(
        15,
        "Five clusters of five nodes",
        sets=(1, 2),
        file="five-clusters-of-five.csv",
        clusters=5,
        nodes=5,
    ),
)


class Filled(msgspec.Struct):
    """A case that was run. ``wrong``: sentences; empty when everything came to what it had to."""

    case: int
    title: str
    ok: bool
    wrong: list[str]
    inputs: list[dict[str, Any]]
    """Of each set: its commands and who was up; of each benchmark: its options."""
    sets: list[dict[str, Any]]
    """As ``manage.py testset --json`` prints them."""
    benches: list[dict[str, Any]]
    """As ``manage.py bench --json`` prints them."""
    reshard: dict[str, Any] | None
    seconds: float
