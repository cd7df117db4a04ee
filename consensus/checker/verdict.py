"""What a check ends with: anomalies with their counterexample in words."""

from __future__ import annotations

from typing import Any

import msgspec


class Anomaly(msgspec.Struct, frozen=True):
    """Something no strictly serializable bank can show.

    Attributes:
        kind: the name of the anomaly, as docs/explanation/checker.md lists them.
        text: what is wrong, a sentence.
        evidence: the operations that show it, and why one stands before the next.
    """

    kind: str
    text: str
    evidence: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """The judgement of one history, and what was in it."""

    operations: int
    outcomes: dict[str, int]
    anomalies: list[Anomaly]

    @property
    def ok(self) -> bool:
        return not self.anomalies

    def to_json(self) -> dict[str, Any]:
        """The document of ``--json``."""
        return {"verdict": "ok" if self.ok else "violation", **msgspec.to_builtins(self)}

    def words(self) -> list[str]:
        """Lines for people; the smallest counterexample comes first."""
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.outcomes.items()))
        lines = [f"{'ok' if self.ok else 'violation'}: {self.operations} operations ({counts})"]
        for anomaly in sorted(self.anomalies, key=lambda found: len(found.evidence)):
            lines.append(f"{anomaly.kind}: {anomaly.text}")
            lines += [f"  {line}" for line in anomaly.evidence]
        return lines
