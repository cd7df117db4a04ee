"""The filled form as one HTML file that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.5; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-size: .875rem; }
th, td { text-align: start; padding: .25rem .5rem; border-block-end: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
td.num, th.num { text-align: end; font-variant-numeric: tabular-nums; }
section { border-block-start: 2px solid currentColor; margin-block-start: 2rem; }
.ok { font-weight: 650; } .wrong { font-weight: 650; text-decoration: underline wavy; }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
"""  # noqa: E501


def text(document: dict[str, Any]) -> str:
    """The file's content, of the document of ``manage.py report --json``."""
    cases = document["cases"]
    rows = [
        (
            f'<a href="#case-{c["case"]}">{c["case"]}</a>',
            escape(c["title"]),
            _verdict(c),
            f"{c['seconds']:.1f}",
        )
        for c in cases
    ]
    machine = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    return "".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Paxos Bank: the report form</title><style>{STYLE}</style></head><body><main>",
            "<h1>The report form</h1>",
            f"<p>{document['passed']} of {len(cases)} cases came to what they have to. ",
            f"Version {escape(document['commit'])}, {escape(machine)}.</p>",
            _table(("Case", "About", "Verdict", "Seconds"), rows),
            *map(_case, cases),
            "</main></body></html>",
        )
    )


def _link(number: int) -> str:
    return f'<a href="#case-{number}">{number}</a>'


def _verdict(case: dict[str, Any]) -> str:
    return '<span class="ok">ok</span>' if case["ok"] else '<span class="wrong">not ok</span>'


def _case(case: dict[str, Any]) -> str:
    number = case["case"]
    parts = [f'<section id="case-{number}"><h2>{number}. {escape(case["title"])} {_verdict(case)}</h2>']
    parts += [f"<p>{escape(sentence)}</p>" for sentence in case["wrong"]]
    for found in case["sets"]:
        parts.append(_set(found))
    if case["benches"]:
        rows = [
            _bench_row(given, found) for given, found in zip(case["inputs"], case["benches"], strict=True)
        ]
        heads = ("Options", "Per second", "p50 ms", "p95", "p99", "Committed", "Aborted", "Conserved")
        parts.append(f"<h3>Performance</h3>{_table(heads, rows)}")
    if case["reshard"] is not None:
        parts.append(_reshard(case["reshard"]))
    return "".join((*parts, "</section>"))


def _set(found: dict[str, Any]) -> str:
    live = ", ".join(f"n{node}" for node in found["live"])
    shown = found["commands"][:60]
    rows = [
        (
            f"<code>{escape(row['command'])}</code>",
            escape(row["outcome"]),
            escape(row["resolved"] or row["reason"] or ""),
            "" if row["balance"] is None else str(row["balance"]),
            "" if row["latency_ms"] is None else f"{row['latency_ms']:.1f}",
        )
        for row in shown
    ]
    parts = [f"<h3>Set {found['set']}</h3><p>Up: {live}.</p>"]
    parts.append(_table(("Command", "Outcome", "Why, or in the end", "Balance", "ms"), rows))
    if len(found["commands"]) > len(shown):
        parts.append(f"<p>and {len(found['commands']) - len(shown)} more.</p>")
    balances = [
        (account, ", ".join(f"n{node} : {balance}" for node, balance in held.items()))
        for account, held in list(found["balances"].items())[:40]
    ]
    parts.append(f"<h4>PrintBalance</h4>{_table(('Account', 'On each node'), balances)}")
    views = [
        (
            str(view["cluster"]),
            f"({view['ballot'][0]}, n{view['ballot'][1]})",
            str(view["slots"]),
            str(view["checkpoint"]),
        )
        for view in found["views"]
    ]
    told = _table(("Cluster", "Ballot", "Slots proposed again", "Checkpoint"), views)
    parts.append(f"<h4>PrintView</h4>{told if views else '<p>No leader changed.</p>'}")
    latency = found["performance"]["latency_ms"]
    figures = ", ".join(f"{name} {value:.1f} ms" for name, value in latency.items() if value is not None)
    parts.append(
        f"<h4>Performance</h4><p>{found['performance']['throughput_tps']:.0f} per second; {figures}</p>"
    )
    return "".join(parts)


def _bench_row(given: dict[str, Any], found: dict[str, Any]) -> tuple[str, ...]:
    latency = found["latency_ms"]
    return (
        f"<code>{escape(given['bench'])}</code>",
        f"{found['throughput_tps']:,.0f}",
        *(f"{latency[name]:.1f}" if latency[name] is not None else "" for name in ("p50", "p95", "p99")),
        f"{found['committed']:,}",
        escape(json.dumps(found["aborted"])),
        "yes" if found["conserved"] and found["replicas_agree"] else "NO",
    )


def _reshard(found: dict[str, Any]) -> str:
    parts = [f"<h3>PrintReshard</h3><p>{escape(found['status'])}. {escape(found['reason'])}</p>"]
    if found["moves"]:
        triplets = ", ".join(
            f"({account}, c{source}, c{target})" for account, source, target in found["moves"]
        )
        parts.append(f"<p>{found['moved']} moved: <code>{triplets}</code></p>")
    moved = found.get("balance_of_moved")
    if moved is not None:
        parts.append(f"<p>Account {moved['account']}, which moved, holds {moved['balance']}.</p>")
    return "".join(parts)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
