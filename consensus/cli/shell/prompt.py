"""Reading the shell's lines: a prompt with history and completion, or a pipe."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from rich.console import Console

from consensus.cli.shell.commands import COMMANDS, Shell, usage


class ShellCompleter(Completer):
    """Command names with their hints; file names after ``load``, commands after ``help``."""

    def __init__(self) -> None:
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor.lstrip()
        first, space, rest = before.partition(" ")
        if not space:
            yield from _commands(first)
        elif first == "help":
            yield from _commands(rest)
        elif first == "load":
            yield from self._paths.get_completions(Document(rest, len(rest)), complete_event)


def _commands(word: str) -> Iterable[Completion]:
    for name, command in COMMANDS.items():
        if name.startswith(word.lower()):
            yield Completion(name, start_position=-len(word), display=usage(name), display_meta=command.hint)


def toolbar(text: str) -> str:
    """The line below the prompt: how the command being typed goes on."""
    name = text.lstrip().partition(" ")[0].lower()
    if name in COMMANDS:
        return f"{usage(name)}: {COMMANDS[name].hint}"
    return "Tab completes, help lists the commands, Ctrl-D leaves"


async def interactive(shell: Shell, history: Path | None) -> int:
    """Prompt until the end. Exit status 0."""
    stored: History = InMemoryHistory() if history is None else FileHistory(str(history))
    session: PromptSession[str] = PromptSession(
        history=stored,
        completer=ShellCompleter(),
        complete_while_typing=False,
        bottom_toolbar=lambda: toolbar(session.default_buffer.text),
    )
    while not shell.done:
        try:
            line = await session.prompt_async("bank> ")
        except KeyboardInterrupt:
            continue  # a line given up
        except EOFError:
            break
        await shell.execute(line)
    return 0


async def piped(shell: Shell, lines: TextIO) -> int:
    """Carry out lines until the end of the input. Exit status 1 if one failed."""
    failed = False
    while not shell.done:
        line = await asyncio.to_thread(lines.readline)
        if not line:
            break
        failed |= not await shell.execute(line)
    return int(failed)


async def converse(shell: Shell, console: Console, title: str, history: Path | None) -> int:
    """Serve whoever is at the other end of standard input."""
    if sys.stdin.isatty():
        console.print(f"{title}; help lists the commands")
        return await interactive(shell, history)
    return await piped(shell, sys.stdin)
