"""The figures of a benchmark as CSV: one row a figure, one row a bin of the timeline."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

PLAIN = (
    "throughput_tps",
    "committed",
    "reads",
    "unknown",
    "attempts",
    "duration_s",
    "conserved",
    "replicas_agree",
)


def rows(result: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Rows of section, name, value."""
    found: list[tuple[str, str, Any]] = [("parameter", name, v) for name, v in result["parameters"].items()]
    found += [("result", name, result[name]) for name in PLAIN if name in result]
    found += [("aborted", reason, count) for reason, count in sorted(result["aborted"].items())]
    found += [("latency_ms", name, value) for name, value in result["latency_ms"].items()]
    # Results stored before there were mixes have no "by_operation".
    for kind, figures in {**result["by_kind"], **result.get("by_operation", {})}.items():
        found.append((kind, "throughput_tps", figures["throughput_tps"]))
        found += [(kind, f"latency_ms.{name}", value) for name, value in figures["latency_ms"].items()]
    bin_ms = result["timeline"]["bin_ms"]
    found += [
        ("timeline", f"{number * bin_ms} ms", count)
        for number, count in enumerate(result["timeline"]["succeeded"])
    ]
    return found


def text(result: dict[str, Any]) -> str:
    """The file's content."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("section", "name", "value"))
    writer.writerows(rows(result))
    return out.getvalue()


def write_csv(path: str, result: dict[str, Any]) -> None:
    """Write the file.

    Raises:
        OSError: it cannot be written.
    """
    Path(path).write_text(text(result), encoding="utf-8")
