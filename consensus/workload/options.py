"""What a benchmark runs, and the named sets of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from consensus.messages.client import Level
from consensus.workload import ycsb
from consensus.workload.distribution import DISTRIBUTIONS, SKEWNESS, UNIFORM, ZIPF
from consensus.workload.generator import LoadError, Mix
from consensus.workload.pace import ARRIVALS, POISSON

CLIENTS_MAX: Final = 10_000
GENERATORS_MAX: Final = 16
RETRIES: Final = 10
RETRIES_MAX: Final = 100

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {
        "transactions": 10_000, "rate": 1_000.0, "clients": 10, "cross_pct": 20.0, "read_pct": 10.0,
    },
    "high-throughput": {"transactions": 50_000, "clients": 50},
    "cross-shard": {
        "transactions": 20_000, "rate": 500.0, "clients": 20, "cross_pct": 80.0, "read_pct": 10.0,
    },
    "stress": {
        "transactions": 100_000, "rate": 5_000.0, "clients": 100, "cross_pct": 30.0, "read_pct": 20.0,
    },
    "read-only": {"transactions": 50_000, "clients": 50, "read_pct": 100.0},
    "smallbank": {"transactions": 50_000, "clients": 50, "cross_pct": 20.0, "mix": "smallbank"},
    **{
        name: {
            "transactions": 50_000, "clients": 50, "mix": name,
            "distribution": ZIPF, "skewness": ycsb.SKEWNESS,
        }
        for name in ycsb.READ_SHARE
    },
    "communities": {"transactions": 100_000, "clients": 100, "population": "communities"},
}  # fmt: skip
"""The four of the course's reference implementation, one that only reads, SmallBank, four like those of
YCSB, one of people with friends."""
POPULATIONS: Final = ("anybody", "communities")
TRANSFERS: Final = "transfers"
SMALLBANK: Final = "smallbank"
LEVELS: Final = tuple(level.name.lower() for level in Level)
MIXES: Final = (TRANSFERS, SMALLBANK, *ycsb.READ_SHARE)


class BenchOptions(msgspec.Struct, frozen=True):
    """What to run.

    Attributes:
        clients: operations in flight at most, spread evenly over the clusters.
        connections: sockets that they share; 0 for one per cluster and generator.
        generators: processes that make the load; each has its share of clients, connections and rate.
        transactions: operations to measure; 0 to measure for ``duration_s`` instead.
        duration_s: measured time.
        warmup_s: time before that, not measured.
        rate: operations meant to begin per second, over all clusters; 0 for a closed loop.
        arrivals: with a rate, ``poisson`` or ``constant``.
        replay: a CSV file of transfers to run at its own times instead (see ``pace.read_replay``).
        read_pct: percent of operations that read one account.
        consistency: of reads, a name of ``Level`` in lower case.
        bound_ms: greatest age that a ``bounded`` read accepts.
        cross_pct: percent of transfers to another cluster.
        distribution, skewness: which accounts (see ``generator.Mix``).
        mix: of operations: ``transfers`` (and reads), or with kinds of its own, as ``smallbank`` has.
        population: ``anybody`` pays whom the distribution says; ``communities``: see ``people``.
        amount_max: transfers move 1 to this many units.
        retries: further attempts at a transfer that lost a lock.
        seed: of everything drawn.
    """

    clients: int = 50
    connections: int = 0
    generators: int = 1
    transactions: int = 0
    duration_s: float = 5.0
    warmup_s: float = 1.0
    rate: float = 0.0
    arrivals: str = POISSON
    replay: str = ""
    read_pct: float = 0.0
    consistency: str = "linearizable"
    bound_ms: int = 100
    cross_pct: float = 0.0
    distribution: str = UNIFORM
    skewness: float = SKEWNESS
    mix: str = TRANSFERS
    population: str = "anybody"
    amount_max: int = 10
    retries: int = RETRIES
    seed: int = 1

    def check(self) -> None:
        """Raise LoadError naming the first option that makes no sense."""
        limits: tuple[tuple[str, float, float, float], ...] = (
            ("clients", self.clients, 1, CLIENTS_MAX),
            ("connections", self.connections, 0, self.clients),
            ("generators", self.generators, 1, min(GENERATORS_MAX, self.clients)),
            ("transactions", self.transactions, 0, 10**9),
            ("duration", self.duration_s, 0.1, 86_400),
            ("warmup", self.warmup_s, 0, 3_600),
            ("rate", self.rate, 0, 1e6),
            ("read-only", self.read_pct, 0, 100),
            ("cross-shard", self.cross_pct, 0, 100),
            ("skewness", self.skewness, 0, 10),
            ("amount", self.amount_max, 1, 10**9),
            ("max-age-ms", self.bound_ms, 1, 3_600_000),
            ("retries", self.retries, 0, RETRIES_MAX),
        )
        for name, value, least, most in limits:
            if not least <= value <= most:
                raise LoadError(f"{name}: must be {least:g} to {most:g}, not {value:g}")
        for name, shared in (("connections", self.connections), ("transactions", self.transactions)):
            if 0 < shared < self.generators:
                raise LoadError(f"{name}: {shared} cannot be shared by {self.generators} generators")
        words: tuple[tuple[str, str, tuple[str, ...]], ...] = (
            ("distribution", self.distribution, DISTRIBUTIONS),
            ("mix", self.mix, MIXES),
            ("population", self.population, POPULATIONS),
            ("arrivals", self.arrivals, ARRIVALS),
            ("consistency", self.consistency, LEVELS),
        )
        for name, word, known in words:
            if word not in known:
                raise LoadError(f"{name}: must be one of {', '.join(known)}, not {word}")
        if self.mix != TRANSFERS and (self.read_pct or self.replay or self.population != "anybody"):
            raise LoadError(
                f"mix: {self.mix} has reads and customers of its own; no read-only, replay or communities"
            )

    def sockets(self, clusters: int) -> int:
        """Connections that it comes to on a bank of so many clusters with accounts."""
        if self.connections:
            return self.connections
        parts = (len(range(number, self.clients, self.generators)) for number in range(self.generators))
        return sum(min(clusters, clients) for clients in parts)

    @property
    def drawn(self) -> Mix:
        """What generators are made from."""
        return Mix(self.read_pct, self.cross_pct, self.distribution, self.skewness, self.amount_max)

    @property
    def level(self) -> Level:
        return Level[self.consistency.upper()]
