"""A benchmark as one HTML file: figures, tables and charts, with Plotly and the result itself inside.

The file needs nothing else, now or later: it opens from a disk without a network, and the document it draws
from can be taken out of it again (the element ``result``).
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

KINDS: Final = {"all": "all", "intra": "within a cluster", "cross": "across clusters", "read": "reads"}
LATENCIES: Final = (
    ("mean", "mean ms"), ("p50", "p50"), ("p95", "p95"), ("p99", "p99"), ("p999", "p99.9"), ("max", "max"),
)  # fmt: skip
TIMELINE_ROWS: Final = 60
"""Rows of the timeline's table: it has as many bins in each as that takes."""


def write_html(path: str, result: dict[str, Any], title: str) -> None:
    """Write the file.

    Raises:
        OSError: it cannot be written.
    """
    Path(path).write_text(text(result, title), encoding="utf-8")


def text(result: dict[str, Any], title: str, about: dict[str, Any] | None = None) -> str:
    """The file's content.

    Args:
        result: the document of ``bench --json``.
        title: what the run is called.
        about: ``began``, ``commit``, ``machine``; None for those in the result.
    """
    library = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    about = result.get("about", {}) if about is None else about
    here = Path(__file__)
    style = here.with_suffix(".css").read_text(encoding="utf-8")
    script = here.with_suffix(".js").read_text(encoding="utf-8")
    # "<" never stands in it, so nothing in it ends the element.
    document = json.dumps(result, ensure_ascii=False).replace("<", "\\u003c")
    body = "\n".join(_sections(result, about))
    name = escape(title)
    made = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name} · Paxos Bank benchmark</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{name}</h1>
<p class="muted">A benchmark of Paxos Bank; report made {made}.</p>
</header>
<main>
{body}
</main>
<script type="application/json" id="result">{document}</script>
<script>{library}</script>
<script>
{script}</script>
</body>
</html>
"""


def _sections(result: dict[str, Any], about: dict[str, Any]) -> Iterable[str]:
    yield _section("Figures", _figures(result))
    yield _section("By kind", _table("Throughput and latency", *_kinds(result)))
    if result.get("sweep"):
        names = ("rate", "throughput_tps", "p50", "p95", "p99")
        rows = [[_number(row[name]) for name in names] for row in result["sweep"]]
        table = _table("At rising rates", ("asked per second", "per second", "p50 ms", "p95", "p99"), rows)
        yield _chart("sweep", "Throughput and latency", "Latency at rising throughput", table)
    yield '<div class="pair">'
    yield _chart("timeline", "Over time", "Operations per second over time", _timeline(result))
    rows = [[f"p{at:g}", _number(ms)] for at, ms in result["distribution"]]
    table = _table("Latency by percentile", ("percentile", "ms"), rows)
    yield _chart("distribution", "Distribution of latency", "Latency by percentile", table)
    yield "</div>"
    yield _chart("kinds", "Latency by kind", "Latency percentiles by kind of operation", "")
    yield '<div class="pair">'
    yield _section("How they ended", _table("Operations", ("outcome", "operations"), _outcomes(result)))
    yield _section("Where", _table("Machine and version", ("fact", "value"), _facts(about)))
    yield "</div>"
    parameters = [[escape(name), escape(_word(value))] for name, value in result["parameters"].items()]
    yield _section("Parameters", _table("As it ran", ("parameter", "value"), parameters))


def _figures(result: dict[str, Any]) -> str:
    latency = result["latency_ms"]
    figures = [
        ("Per second", f"{result['throughput_tps']:,.0f}", ""),
        ("p50", f"{_number(latency['p50'])} ms", ""),
        ("p99", f"{_number(latency['p99'])} ms", ""),
        ("Money", *(("conserved", "good") if result["conserved"] else ("NOT CONSERVED", "bad"))),
        ("Replicas", *(("agree", "good") if result["replicas_agree"] else ("DIFFER", "bad"))),
    ]
    made = result.get("generators")
    if made and made["bottleneck"]:
        figures.append(("Load generator", "the bottleneck", "bad"))
    items = "".join(f'<div><dt>{dt}</dt><dd class="{tone}">{dd}</dd></div>' for dt, dd, tone in figures)
    return f'<dl class="figures">{items}</dl>'


def _kinds(result: dict[str, Any]) -> tuple[Sequence[str], list[list[str]]]:
    found = {"all": result, **result["by_kind"], **result.get("by_operation", {})}
    rows = []
    for name, kind in found.items():
        latency = kind["latency_ms"]
        if latency["mean"] is not None:
            values = [_number(latency[key]) for key, _ in LATENCIES]
            word = KINDS.get(name, name.replace("_", " "))
            rows.append([escape(word), f"{kind['throughput_tps']:,.0f}", *values])
    return ("kind", "per second", *(word for _, word in LATENCIES)), rows


def _outcomes(result: dict[str, Any]) -> list[list[str]]:
    rows = [["committed", f"{result['committed']:,}"], ["read", f"{result['reads']:,}"]]
    for word, counts in (
        ("aborted", result["aborted"]),
        ("refused", result["refused"]),
        ("tried again", result["retried"]),
    ):
        rows += [[f"{word}: {escape(reason)}", f"{number:,}"] for reason, number in sorted(counts.items())]
    return [*rows, ["unknown", f"{result['unknown']:,}"], ["attempts", f"{result['attempts']:,}"]]


def _facts(about: dict[str, Any]) -> list[list[str]]:
    facts = {"began": about.get("began"), "version": about.get("commit"), **about.get("machine", {})}
    return [[escape(name.replace("_", " ")), escape(_word(value))] for name, value in facts.items() if value]


def _timeline(result: dict[str, Any]) -> str:
    bin_s = result["timeline"]["bin_ms"] / 1e3
    # The last bin may be cut short, which is no rate; the chart leaves it out, too.
    bins = result["timeline"]["succeeded"][: max(1, int(result["duration_s"] / bin_s))]
    width = max(1, -(-len(bins) // TIMELINE_ROWS))
    rows = [
        [f"{at * bin_s:.1f}", f"{sum(bins[at : at + width]) / (len(bins[at : at + width]) * bin_s):,.0f}"]
        for at in range(0, len(bins), width)
    ]
    return _table("Operations per second", ("from, s", "per second"), rows)


def _chart(name: str, title: str, label: str, table: str) -> str:
    under = f"<details><summary>As a table</summary>{table}</details>" if table else ""
    return _section(
        title, f'<div class="chart" data-chart="{name}" role="group" aria-label="{label}"></div>{under}'
    )


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>"


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column names the row; ``rows`` are HTML already."""
    mark = "" if head[-1] == "value" else ' class="number"'
    heads = "".join(f'<th scope="col"{mark if i else ""}>{word}</th>' for i, word in enumerate(head))
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td{mark}>{cell}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{caption}">'
        f"<table><caption>{caption}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"


def _word(value: Any) -> str:
    return "–" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)
