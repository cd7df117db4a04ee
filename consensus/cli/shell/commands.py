"""The shell's commands: what each takes, says and does."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from consensus.cli.shell.teller import Teller, TellerError, Transfer
from consensus.cli.testset_tables import STYLES, show_performance, show_set, show_views
from consensus.client.reads import BOUND_MS_DEFAULT
from consensus.messages.client import Level
from consensus.testset.csvtext import FaultError
from consensus.testset.parser import LEVELS, TestSet, parse
from consensus.testset.report import SetReport, percentile

LOG_LINES: Final = 10
BOUND_MS_MAX: Final = 60_000
LATENCIES_MAX: Final = 10_000
"""Transfers of this shell whose latency ``performance`` looks at."""


class Command(NamedTuple):
    """A command: what is typed after its name, and one line of help."""

    arguments: str
    hint: str


COMMANDS: Final[dict[str, Command]] = {
    "send": Command("S R AMT", "move AMT from account S to account R"),
    "balance": Command(
        "ID [LEVEL]",
        "read an account: linearizable (default), lease, ryw, bounded[:MS] or eventual",
    ),
    "printbalance": Command("ID", "what every replica holds of an account; A..B: what a range comes to"),
    "printdb": Command("", "accounts that changed since the reset, on every node"),
    "printview": Command("", "every NEW-VIEW since the reset, and where the nodes stand"),
    "printlog": Command("[N [LINES]]", "the end of node N's log; without N that of every leader"),
    "printreshard": Command("", "redistribute by the traffic so far; what moved as (account, from, to)"),
    "performance": Command("", "latency of this shell's transfers, and the leaders' figures"),
    "fail": Command("N", "F: node N acts disconnected, its timers stand still"),
    "recover": Command("N", "R: node N takes part again"),
    "flush": Command("", "reset: initial balances, empty logs"),
    "load": Command("FILE", "read a CSV file of test sets"),
    "next": Command("", "reset the bank and run the next set of the file"),
    "skip": Command("", "leave the next set out"),
    "help": Command("[COMMAND]", "this list"),
    "quit": Command("", "leave"),
}


PRINTS: Final = ("printbalance", "printdb", "printview", "printlog", "performance")


class ShellError(Exception):
    """The line cannot be carried out; the text says why."""


class Shell:
    """Carries out lines against one bank and prints to ``console``."""

    def __init__(self, teller: Teller, console: Console) -> None:
        self.done = False
        self.last: SetReport | None = None
        """The report of the test set that was run last, for ``performance``."""
        self._teller = teller
        self._console = console
        self._sets: list[TestSet] = []
        self._next_set = 0
        self._latencies_ms: list[float] = []
        self._handlers: dict[str, Callable[[list[str]], Awaitable[None]]] = {
            name: getattr(self, f"_{name}") for name in COMMANDS
        }

    def use(self, sets: list[TestSet]) -> None:
        """Go on with these sets, as ``load`` would; says how many there are."""
        self._sets = sets
        self._next_set = 0
        numbers = ", ".join(str(each.number) for each in sets)
        self._console.print(f"{len(sets)} sets: {numbers}; next runs the first")

    async def execute(self, line: str) -> bool:
        """Carry out one line. False: it failed, and the reason was printed."""
        try:
            words = shlex.split(line, comments=True)
            if not words:
                return True
            name, arguments = words[0].lower(), words[1:]
            if name == "exit":
                name = "quit"
            if name not in COMMANDS:
                raise ShellError(f"no such command: {words[0][:40]!r}; help lists them")
            least, most = _count(COMMANDS[name].arguments)
            if not least <= len(arguments) <= most:
                raise ShellError(f"usage: {usage(name)}")
            text = await self._teller.printed(name, " ".join(arguments)) if name in PRINTS else None
            if text is not None:
                self._console.print(escape(text))
            else:
                await self._handlers[name](arguments)
        except (ShellError, TellerError, ValueError) as error:
            self._console.print(f"[red]error:[/red] {escape(str(error))}")
            return False
        return True

    # --- transfers and reads ----------------------------------------------

    async def _send(self, arguments: list[str]) -> None:
        sender, receiver, amount = (
            _integer(text, name) for text, name in zip(arguments, ("S", "R", "AMT"), strict=True)
        )
        result = await self._teller.transfer(sender, receiver, amount)
        if len(self._latencies_ms) < LATENCIES_MAX and result.outcome in ("committed", "aborted"):
            self._latencies_ms.append(result.latency_ms)
        self._console.print(_transfer_text(result))

    async def _balance(self, arguments: list[str]) -> None:
        level, bound_ms = _level(arguments[1] if len(arguments) > 1 else "linearizable")
        read = await self._teller.balance(_integer(arguments[0], "ID"), level, bound_ms)
        at = f"version {read.version}, slot {read.slot}, {read.latency_ms:.1f} ms"
        self._console.print(f"{read.account}: {read.balance} ({at})")

    async def _printbalance(self, arguments: list[str]) -> None:
        first, dots, last = arguments[0].partition("..")
        if dots:
            await self._print_range(_integer(first, "A"), _integer(last, "B"))
            return
        account = _integer(arguments[0], "ID")
        replicas = await self._teller.replicas(account)
        held = ", ".join(f"n{row.node} : {'–' if row.balance is None else row.balance}" for row in replicas)
        others = [f"n{row.node} is {row.state}" for row in replicas if row.state != "up"]
        self._console.print(f"PrintBalance({account}) → {held}{'; ' if others else ''}{', '.join(others)}")

    async def _print_range(self, first: int, last: int) -> None:
        if not 1 <= first <= last:
            raise ShellError("A..B: A must be 1 or more, and at most B")
        found = await self._teller.summary(first, last)
        if not found.count:
            raise ShellError(f"there are no accounts {first}..{last}")
        self._console.print(
            f"PrintBalance({first}..{last}) → min {found.min}, max {found.max}, total {found.total}, "
            f"count {found.count}"
        )

    # --- what nodes hold --------------------------------------------------

    async def _printdb(self, arguments: list[str]) -> None:
        for node in await self._teller.database():
            held = ", ".join(
                f"{account}={balance} (v{version})" for account, balance, version in node.accounts
            )
            more = ", …" if node.more else ""
            self._console.print(f"n{node.node} at slot {node.applied}: {held or 'nothing changed'}{more}")

    async def _printview(self, arguments: list[str]) -> None:
        for cluster in await self._teller.views():
            leader = f"n{cluster.leader}" if cluster.leader else "nobody"
            self._console.print(f"[bold]c{cluster.cluster}[/bold] led by {leader}")
            show_views(self._console, [{**view, "cluster": cluster.cluster} for view in cluster.views])
            table = Table("node", "role", "state", "ballot", "next slot", box=None)
            for row in cluster.nodes:
                ballot = row["ballot"]
                shown = f"({ballot[0]},{ballot[1]})" if ballot else "–"
                table.add_row(
                    f"n{row['node']}", row["role"] or "–", row["state"], shown, str(row["next_slot"])
                )
            self._console.print(table)

    async def _printlog(self, arguments: list[str]) -> None:
        lines = _integer(arguments[1], "LINES") if len(arguments) > 1 else LOG_LINES
        if not 1 <= lines <= 500:
            raise ShellError("LINES: must be 1 to 500")
        if arguments:
            nodes = [_node(arguments[0])]
        else:
            nodes = [cluster.leader for cluster in await self._teller.views() if cluster.leader]
        for node in nodes:
            table = Table(
                "slot", "ballot", "state", "entries", title=f"n{node}", title_justify="left", box=None
            )
            for entry in await self._teller.log(node, lines):
                ballot = f"({entry.ballot[0]},{entry.ballot[1]})"
                table.add_row(str(entry.slot), ballot, entry.state, escape(entry.summary))
            self._console.print(table)

    async def _printreshard(self, arguments: list[str]) -> None:
        self._console.print("learning from the traffic and planning …")
        found = await self._teller.reshard()
        if found.status == "refused":
            self._console.print(f"PrintReshard: nothing moved: {found.reason}")
            return
        self._console.print(
            f"PrintReshard: {len(found.moves)} of {found.planned} accounts moved; across clusters "
            f"{found.before_pct:.1f} % before, {found.predicted_pct:.1f} % predicted"
        )
        for account, source, target in found.moves:
            self._console.print(f"({account}, c{source}, c{target})")
        if found.reason:
            self._console.print(found.reason)

    async def _performance(self, arguments: list[str]) -> None:
        ordered = sorted(self._latencies_ms)
        if self.last is not None:
            self._console.print(f"set {self.last.set}:")
            show_performance(self._console, self.last.performance)
        if ordered:
            mean = sum(ordered) / len(ordered)
            p50, p99 = percentile(ordered, 50), percentile(ordered, 99)
            figures = f"mean {mean:.2f} ms, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
            self._console.print(f"this shell: {len(ordered)} transfers, {figures}")
        elif self.last is None:
            self._console.print("this shell: no transfer was answered yet")
        for row in await self._teller.performance():
            shown = {name: value for name, value in row.items() if name != "cluster"}
            self._console.print(f"c{row['cluster']}: {escape(_figures_text(shown))}")

    # --- faults -----------------------------------------------------------

    async def _fail(self, arguments: list[str]) -> None:
        node = _node(arguments[0])
        await self._teller.fail(node)
        self._console.print(f"n{node} failed")

    async def _recover(self, arguments: list[str]) -> None:
        node = _node(arguments[0])
        await self._teller.recover(node)
        self._console.print(f"n{node} recovered")

    async def _flush(self, arguments: list[str]) -> None:
        await self._teller.flush()
        self.last = None
        self._latencies_ms.clear()
        self._console.print("flushed: every account has its initial balance")

    # --- test sets --------------------------------------------------------

    async def _load(self, arguments: list[str]) -> None:
        path = Path(arguments[0]).expanduser()
        try:
            sets = parse(path.read_bytes())
        except OSError as error:
            raise ShellError(f"{path}: {error.strerror}") from error
        except FaultError as error:
            raise ShellError(f"{path}: {error}") from error
        self.use(sets)

    async def _next(self, arguments: list[str]) -> None:
        test_set = self._upcoming()
        report = await self._teller.run_set(test_set)
        self._next_set += 1
        self.last = report
        show_set(self._console, report)
        self._tell_left()

    async def _skip(self, arguments: list[str]) -> None:
        number = self._upcoming().number
        self._next_set += 1
        self._console.print(f"set {number} skipped")
        self._tell_left()

    def _upcoming(self) -> TestSet:
        if not self._sets:
            raise ShellError("no file is loaded; load FILE first")
        if self._next_set >= len(self._sets):
            raise ShellError("that was the last set of the file; load it again to start over")
        return self._sets[self._next_set]

    def _tell_left(self) -> None:
        left = len(self._sets) - self._next_set
        self._console.print(f"{left} sets left" if left else "that was the last set")

    # --- the shell itself -------------------------------------------------

    async def _help(self, arguments: list[str]) -> None:
        if arguments and arguments[0].lower() not in COMMANDS:
            raise ShellError(f"no such command: {arguments[0][:40]!r}")
        names = [arguments[0].lower()] if arguments else list(COMMANDS)
        table = Table("command", "", box=None, show_header=False)
        for name in names:
            table.add_row(escape(usage(name)), COMMANDS[name].hint)
        self._console.print(table)

    async def _quit(self, arguments: list[str]) -> None:
        self.done = True


def usage(name: str) -> str:
    """A command with what follows it."""
    return f"{name} {COMMANDS[name].arguments}".rstrip()


def _count(arguments: str) -> tuple[int, int]:
    """Fewest and most words that a command takes."""
    words = arguments.split()
    optional = sum(word.startswith("[") for word in words)
    return len(words) - optional, len(words)


def _level(text: str) -> tuple[Level, int]:
    """A consistency level and, for ``bounded``, the greatest age in milliseconds."""
    name, colon, age = text.lower().partition(":")
    if name not in LEVELS or (colon and LEVELS[name] != Level.BOUNDED):
        raise ShellError(f"no such level: {text[:40]!r}; they are {', '.join(LEVELS)} (bounded:MS)")
    level = LEVELS[name]
    if level != Level.BOUNDED:
        return level, 0
    bound_ms = _integer(age, "MS") if colon else BOUND_MS_DEFAULT
    if not 1 <= bound_ms <= BOUND_MS_MAX:
        raise ShellError(f"bounded:MS takes 1 to {BOUND_MS_MAX} milliseconds")
    return level, bound_ms


def _integer(text: str, name: str) -> int:
    try:
        if len(text) > 18:
            raise ValueError
        return int(text)
    except ValueError:
        raise ShellError(f"{name}: must be a whole number of at most 18 digits, not {text[:40]!r}") from None


def _figures_text(figures: dict[str, Any]) -> str:
    """Figures as a line: nested ones in brackets, fractions to two places."""
    parts = []
    for name, value in figures.items():
        if isinstance(value, dict):
            parts.append(f"{name} ({_figures_text(value)})")
        else:
            shown = "–" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
            parts.append(f"{name} {shown}")
    return ", ".join(parts)


def _node(text: str) -> int:
    return _integer(text[1:] if text[:1] in "nN" and len(text) > 1 else text, "N")


def _transfer_text(result: Transfer) -> str:
    style = STYLES.get(result.outcome, "bold")
    parts = [f"[{style}]{result.outcome}[/{style}]"]
    if result.reason:
        parts.append(result.reason)
    for at in result.positions:
        ballot = at["ballot"]
        parts.append(f"c{at['cluster']} slot {at['slot']} ballot ({ballot[0]},{ballot[1]})")
    if result.outcome == "committed":
        parts.append(
            ", ".join(f"{account}: {value['balance']}" for account, value in result.accounts.items())
        )
    parts.append(f"{result.latency_ms:.1f} ms")
    text = " · ".join(parts)
    return f"{text}\n  id {result.id}" if result.outcome == "unknown" else text
