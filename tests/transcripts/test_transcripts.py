"""Each transcript is a story of commands and what they cause; the core has to tell it word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transcripts.driver import CommandError, Driver, play

FILES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_transcript(path: Path, rewrite: bool) -> None:
    expected = path.read_text()
    actual = play(expected)
    if rewrite and actual != expected:
        path.write_text(actual)
        expected = actual
    # Line by line: what differs is shown in its place.
    assert actual.splitlines() == expected.splitlines()


def test_there_are_transcripts() -> None:
    assert FILES


@pytest.mark.parametrize("line", ["dance 1", "deliver 1", "submit 1 tx=1 5", "tick soon", "persist 9"])
def test_driver_refuses_what_it_does_not_understand(line: str) -> None:
    driver = Driver()
    driver.run("cluster")
    with pytest.raises(CommandError):
        driver.run(line)
