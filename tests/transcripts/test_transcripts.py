"""Each transcript is a story of commands and what they cause; the core has to tell it word for word.

A transcript consists of blocks between blank lines: comments (``#``), or commands, a line ``----`` and their
output. ``driver`` says which commands there are.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest

from tests.transcripts.driver import CommandError, Driver

FILES = sorted(Path(__file__).parent.glob("*.txt"))


def play(text: str) -> str:
    """The transcript with the output that its commands have now."""
    driver = Driver()
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        commands = block.partition("\n----")[0].splitlines()
        lines = [line for line in commands if line and not line.startswith("#")]
        if lines:
            output = [out for line in lines for out in driver.run(line)]
            commands += ["----", *(output or ["nothing"])]
        blocks.append("\n".join(commands))
    return "\n\n".join(blocks) + "\n"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_transcript(path: Path, rewrite: bool) -> None:
    expected = path.read_text()
    actual = play(expected)
    if rewrite and actual != expected:
        path.write_text(actual)
        expected = actual
    lines = difflib.unified_diff(
        expected.splitlines(), actual.splitlines(), path.name, "now", n=6, lineterm=""
    )
    if difference := "\n".join(lines):
        pytest.fail(difference, pytrace=False)


def test_there_are_transcripts() -> None:
    assert FILES


@pytest.mark.parametrize("line", ["dance 1", "deliver 1", "submit 1 tx=1 5", "tick soon", "persist 9"])
def test_driver_refuses_what_it_does_not_understand(line: str) -> None:
    driver = Driver()
    driver.run("cluster")
    with pytest.raises(CommandError):
        driver.run(line)
