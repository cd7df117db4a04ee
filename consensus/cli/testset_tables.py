"""A test set's report as tables for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from consensus.testset.report import CommandResult, SetReport

STYLES = {"committed": "green", "ok": "green", "aborted": "yellow", "refused": "yellow", "unknown": "red"}
BALANCES_SHOWN = 40
COMMANDS_SHOWN = 40
"""Longer sets show their first commands, every one that did not commit, and a count of the rest."""


def show_set(console: Console, report: SetReport) -> None:
    """Print one set: commands, balances, views, performance, notes."""
    live = ", ".join(f"n{node}" for node in report.live)
    console.print(f"\n[bold]Set {report.set}[/bold]  live: {live}")
    console.print(_commands(report.commands))
    left_out = len(report.commands) - len(_shown(report.commands))
    if left_out:
        console.print(f"… and {left_out} more that committed")
    show_balances(console, report.balances)
    show_views(console, report.views)
    show_performance(console, report.performance)
    for note in report.notes:
        console.print(f"[yellow]note:[/yellow] {note}")


def _shown(commands: list[CommandResult]) -> list[CommandResult]:
    if len(commands) <= COMMANDS_SHOWN:
        return commands
    return [
        command
        for i, command in enumerate(commands)
        if i < COMMANDS_SHOWN // 2 or command.outcome not in ("committed", "ok")
    ]


def _commands(commands: list[CommandResult]) -> Table:
    table = Table("command", "level", "outcome", "reason", "balance", "ms", box=None, header_style="bold")
    for command in _shown(commands):
        outcome = (
            command.outcome if command.resolved is None else f"{command.outcome}, then {command.resolved}"
        )
        style = STYLES.get(command.resolved or command.outcome, "")
        table.add_row(
            command.command,
            command.level or "",
            f"[{style}]{outcome}[/{style}]" if style else outcome,
            command.reason or "",
            "" if command.balance is None else str(command.balance),
            "" if command.latency_ms is None else f"{command.latency_ms:.1f}",
        )
    return table


def show_balances(console: Console, balances: dict[str, dict[str, int]]) -> None:
    """PrintBalance, as the course prints it. Of many accounts those that hold the same share a line."""
    groups: dict[str, list[str]] = {}
    for account, values in balances.items():
        text = ", ".join(f"n{node} : {value}" for node, value in values.items())
        key = text if len(balances) > BALANCES_SHOWN else f"{account} {text}"
        groups.setdefault(key, []).append(account)
    for accounts in groups.values():
        values = balances[accounts[0]]
        text = ", ".join(f"n{node} : {value}" for node, value in values.items())
        names = ", ".join(accounts[:5])
        if len(accounts) > 5:
            names += f", … {accounts[-1]}: {len(accounts)} accounts"
        console.print(f"PrintBalance({names}) → {text}")


def show_views(console: Console, views: list[dict[str, Any]]) -> None:
    """PrintView: every NEW-VIEW, with what it took over."""
    if not views:
        console.print("PrintView: no NEW-VIEW")
    for view in views:
        ballot = view["ballot"]
        slots = view["slots"] if isinstance(view["slots"], int) else len(view["slots"])
        console.print(
            f"NEW-VIEW c{view['cluster']} ballot ({ballot[0]},{ballot[1]}) leader n{view['leader']} "
            f"slot {view.get('slot', '–')}: {slots} slots proposed again above {view.get('watermark', '–')}, "
            f"checkpoint {view['checkpoint']}"
        )


def show_performance(console: Console, figures: dict[str, Any]) -> None:
    """Throughput and latency of one set."""
    latency = figures["latency_ms"]
    if latency["mean"] is None:
        console.print("Performance: nothing was answered")
        return
    console.print(
        f"Performance: {figures['throughput_tps']:g} per second; latency mean {latency['mean']:.2f} ms, "
        f"p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms"
    )
