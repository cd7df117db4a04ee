"""Tables of ``manage.py bench`` for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show_result(console: Console, result: dict[str, Any]) -> None:
    parameters = result["parameters"]
    console.print(
        f"{parameters['clients']} clients on {parameters['connections']} connections, "
        f"{parameters['clusters']} clusters of {parameters['nodes']} nodes, {result['duration_s']:g} s"
    )
    table = Table(
        "kind", "per second", "mean ms", "p50", "p95", "p99", "p99.9", "max", box=None, header_style="bold"
    )
    kinds = {"all": {"throughput_tps": result["throughput_tps"], "latency_ms": result["latency_ms"]}}
    for name, kind in {**kinds, **result["by_kind"], **result.get("by_operation", {})}.items():
        latency = kind["latency_ms"]
        if latency["mean"] is not None:
            values = [f"{latency[key]:.2f}" for key in ("mean", "p50", "p95", "p99", "p999", "max")]
            table.add_row(name, f"{kind['throughput_tps']:,.0f}", *values)
    console.print(table)
    if made := result.get("generators"):
        busy = ", ".join(f"{share:.0%}" for share in made["processor_share"])
        console.print(
            f"{made['processes']} load generator{'s' * (made['processes'] > 1)}, processor share {busy}"
            + (": [red]the bottleneck[/red], try more with --generators" if made["bottleneck"] else "")
        )
    if result.get("sweep"):
        curve = Table("rate", "per second", "p50 ms", "p95", "p99", box=None, header_style="bold")
        for row in result["sweep"]:
            values = ["–" if row[name] is None else f"{row[name]:.2f}" for name in ("p50", "p95", "p99")]
            curve.add_row(f"{row['rate']:,.0f}", f"{row['throughput_tps']:,.0f}", *values)
        console.print(curve)
    aborted, refused = sum(result["aborted"].values()), sum(result["refused"].values())
    console.print(
        f"committed {result['committed']:,}, reads {result['reads']:,}, aborted {aborted:,}, "
        f"refused {refused:,}, unknown {result['unknown']:,}"
    )
    for word, counts in (
        ("aborted", result["aborted"]),
        ("tried again", result["retried"]),
    ):
        if counts:
            console.print(f"{word}: " + ", ".join(f"{reason} {n:,}" for reason, n in sorted(counts.items())))
    console.print(
        f"transfers {result['transfers']:,} in {result['attempts']:,} attempts; longest time of a client "
        f"without success {result['longest_without_success_ms']:,.0f} ms"
    )
    console.print(f"conserved: {yes(result['conserved'])}, replicas agree: {yes(result['replicas_agree'])}")


def show_ratios(console: Console, table: dict[str, Any]) -> None:
    """One line per load: throughputs, latencies, their ratios and targets. A miss is red and says so."""
    shown = Table(
        "load", "clients", "sockets", "floor /s", "bank /s", "share", "target",
        "p50 ms floor", "bank", "times", "target", "p99 ms floor", "bank", "times", "target",
        box=None, header_style="bold",
    )  # fmt: skip
    missed = 0
    for row in table["rows"]:
        cells = [
            row["name"], str(row["clients"]), str(row["connections"]), f"{row['floor_tps']:,.0f}",
            f"{row['bank_tps']:,.0f}", _judged(f"{row['share']:.2f}", row["share_ok"]),
            "–" if row["share_target"] is None else f"≥ {row['share_target']:.2f}",
        ]  # fmt: skip
        for name in ("p50", "p99"):
            target = row[f"{name}_target"]
            cells += [
                f"{row[f'floor_{name}_ms']:.2f}",
                f"{row[f'bank_{name}_ms']:.2f}",
                _judged(f"{row[f'{name}_times']:.2f}", row[f"{name}_ok"]),
                "–" if target is None else f"≤ {target:.1f}",
            ]
        missed += sum(row[name] is False for name in ("share_ok", "p50_ok", "p99_ok"))
        shown.add_row(*cells)
    console.print(shown)
    beside = "with its site, recording" if table["site"] else "without a site"
    console.print(
        f"medians of {table['rounds']} rounds of {table['duration_s']:g} s, floor and bank in turn, {beside}"
    )
    console.print(f"targets missed: {missed}")
    console.print(f"conserved: {yes(table['conserved'])}, replicas agree: {yes(table['replicas_agree'])}")


def _judged(text: str, ok: bool | None) -> str:
    return text if ok is None else f"[green]{text}[/]" if ok else f"[red]{text} missed[/]"


def yes(value: bool) -> str:
    """The word, coloured."""
    return "[green]yes[/green]" if value else "[red]no[/red]"
