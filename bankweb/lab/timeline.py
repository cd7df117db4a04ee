"""Faults on a timeline: where each bar of a picture lies. Numbers only; the template draws."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

WIDTH: Final = 1_000
ROW: Final = 22
LEFT: Final = 56
BAR_MIN: Final = 3.0
LETTER: Final = 7.5
"""Width of a letter of a bar's label."""


def of_schedule(faults: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Faults of a simulation's schedule; those that find their node themselves get a row of their own."""
    bars = []
    for fault in faults:
        start, span = fault["at_us"] / 1e6, fault.get("for_us", 0) / 1e6
        own = fault["kind"].endswith(("_leader", "_all"))
        row = "leader" if own else f"n{fault.get('node', 0)}"
        bars.append((row, fault["kind"], start, start + span))
    return _drawn(bars)


def of_verify(faults: Iterable[dict[str, Any]], now_s: float) -> dict[str, Any]:
    """Faults as a run of ``verify`` told them; one without an end goes on."""
    open_: dict[int, dict[str, Any]] = {}
    bars = []
    for fault in faults:
        node = fault["node"]
        if fault["phase"] == "begin":
            open_[node] = fault
        elif (begun := open_.pop(node, None)) is not None:
            bars.append((f"n{node}", begun["kind"], begun["at_s"], fault["at_s"]))
    bars += [(f"n{node}", begun["kind"], begun["at_s"], now_s) for node, begun in open_.items()]
    return _drawn(bars)


def _drawn(bars: list[tuple[str, str, float, float]]) -> dict[str, Any]:
    """Rows by name and bars in a picture ``width`` wide; ``table``: the same as words."""
    rows = sorted({row for row, *_ in bars}, key=lambda row: (row != "leader", len(row), row))
    end = max((end for *_, end in bars), default=0.0) or 1.0
    scale = (WIDTH - LEFT) / end
    place = {row: i * ROW for i, row in enumerate(rows)}
    return {
        "width": WIDTH,
        "height": max(1, len(rows)) * ROW + ROW,
        "left": LEFT,
        "foot": len(rows) * ROW + ROW - 6,
        "end_s": end,
        "rows": [{"name": row, "y": y, "text_y": y + 15} for row, y in place.items()],
        "bars": [
            {
                "x": round(LEFT + begin * scale, 1),
                "y": place[row] + 3,
                "width": round(max(BAR_MIN, (until - begin) * scale), 1),
                "kind": kind,
                "label": kind if (until - begin) * scale > LETTER * len(kind) + 8 else "",
                "label_y": place[row] + 16,
                "row": row,
                "begin_s": begin,
                "span_s": until - begin,
            }
            for row, kind, begin, until in bars
        ],
    }
