"""A stretch of a recording in the forms of other programs.

Each form is a function of the recording's header, the state before the stretch and its events, in order,
and yields text piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from consensus.trace import export_chrome, export_script, export_shiviz
from consensus.trace.draft import State
from consensus.trace.events import TraceEvent

Export = Callable[[dict[str, Any], State, Iterable[TraceEvent]], Iterator[str]]


class Form(NamedTuple):
    """A form: what makes it, its content type, the ending of its file's name, and what takes it."""

    export: Export
    media_type: str
    suffix: str
    use: str


FORMS: Final[dict[str, Form]] = {
    "chrome": Form(
        export_chrome.export,
        "application/json",
        "trace.json",
        "Chrome trace: opens in ui.perfetto.dev and chrome://tracing",
    ),
    "shiviz": Form(
        export_shiviz.export,
        "text/plain; charset=utf-8",
        "shiviz.log",
        "ShiViz log: opens in ShiViz with its default expression",
    ),
    "shell": Form(
        export_script.shell,
        "text/plain; charset=utf-8",
        "bankshell.txt",
        "what people did, for bankshell: manage.py bankshell < FILE",
    ),
    "rest": Form(
        export_script.rest,
        "text/x-shellscript; charset=utf-8",
        "sh",
        "what people did, over REST: SITE=… TOKEN=… sh FILE",
    ),
    "testset": Form(
        export_script.testset,
        "text/csv; charset=utf-8",
        "csv",
        "what people did, as a test set: manage.py testset FILE",
    ),
}
