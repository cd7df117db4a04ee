"""What a test set prints: rows per command, balances per node, views, performance."""

from __future__ import annotations

from typing import Any

import msgspec


class CommandResult(msgspec.Struct):
    """How one command ended.

    Attributes:
        command: as it stands in the file.
        level: consistency asked for; None for F and R.
        kind: ``transfer``, ``read``, ``fail`` or ``recover``.
        outcome: what the client knew at its deadline: ``committed``, ``aborted``, ``unknown``, ``ok``, or
            ``refused`` (nothing was done).
        resolved: final outcome of an unknown transfer, once a majority could say; else None.
        reason: why it did not commit or was not answered.
        balance: what a read saw.
        latency_ms: from the send to the answer (or to giving up).
        answered: whether the bank gave a final answer; such commands count in the performance.
    """

    command: str
    level: str | None
    kind: str
    outcome: str
    resolved: str | None = None
    reason: str | None = None
    balance: int | None = None
    latency_ms: float | None = None
    answered: bool = False

    def to_json(self) -> dict[str, Any]:
        """The row of CONTRACT ``testset``."""
        body: dict[str, Any] = msgspec.to_builtins(self)
        del body["answered"]
        if self.latency_ms is not None:
            body["latency_ms"] = round(self.latency_ms, 3)
        return body


class SetReport(msgspec.Struct, frozen=True):
    """One set. ``notes``: what the runner waited for in vain, in sentences."""

    set: int
    live: list[int]
    commands: list[CommandResult]
    balances: dict[str, dict[str, int]]
    views: list[dict[str, Any]]
    performance: dict[str, Any]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """One element of ``sets`` in CONTRACT ``testset``."""
        return {
            "set": self.set,
            "live": self.live,
            "commands": [command.to_json() for command in self.commands],
            "balances": self.balances,
            "views": self.views,
            "performance": self.performance,
            "notes": self.notes,
        }


def performance(commands: list[CommandResult], busy_s: float) -> dict[str, Any]:
    """Committed transfers and answered reads per second of the time commands ran, and latencies.

    Args:
        commands: of one set.
        busy_s: time during which transfers or reads were under way.
    """
    answered = [command for command in commands if command.answered]
    done = sum(command.outcome in ("committed", "ok") for command in answered)
    latencies = sorted(command.latency_ms for command in answered if command.latency_ms is not None)
    report: dict[str, float | None] = {"mean": None, "p50": None, "p99": None}
    if latencies:
        report = {
            "mean": round(sum(latencies) / len(latencies), 3),
            "p50": round(percentile(latencies, 50), 3),
            "p99": round(percentile(latencies, 99), 3),
        }
    return {"throughput_tps": round(done / busy_s, 1) if busy_s > 0 else 0.0, "latency_ms": report}


def percentile(ordered: list[float], percent: int) -> float:
    """Nearest rank: the smallest value that at least ``percent`` of them do not exceed."""
    return ordered[max(-(-len(ordered) * percent // 100), 1) - 1]
