"""``manage.py testset`` as people run it."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from consensus.cli.command import UsageError
from consensus.cli.testset_command import choose
from consensus.testset.parser import parse

PROJECT = Path(__file__).resolve().parents[2]
FILE = PROJECT / "testcases" / "course-testcases.csv"


def testset(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "testset", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)


testset.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.process
def test_json_is_all_that_stdout_gets() -> None:
    done = testset(str(FILE), "--sets", "1,5", "--json")
    assert done.returncode == 0, done.stderr
    first, fifth = json.loads(done.stdout)["sets"]
    assert (first["set"], fifth["set"]) == (1, 5)
    assert [row["outcome"] for row in first["commands"]] == ["committed"] * 3 + ["ok"] * 2
    assert first["balances"]["1001"] == {"1": 9, "2": 9, "3": 9}
    assert {row["outcome"] for row in fifth["commands"] if row["kind"] == "transfer"} == {"committed"}
    assert first["performance"]["latency_ms"]["p99"] > 0


@pytest.mark.process
def test_a_terminal_is_asked_before_each_set() -> None:
    """At a terminal the next set waits for its word, and the Print functions come in between."""
    theirs, ours = pty.openpty()
    command = [sys.executable, "manage.py", "testset", "testcases/four-clusters-120-accounts.csv"]
    sizes = ["--clusters", "4", "--nodes", "3", "--accounts", "120", "--sets", "1,2,3", "--deadline", "1"]
    environment = {**os.environ, "TERM": "dumb", "PROMPT_TOOLKIT_NO_CPR": "1"}
    with subprocess.Popen(
        command + sizes, cwd=PROJECT, stdin=ours, stdout=ours, stderr=ours, env=environment
    ) as child:
        os.close(ours)
        said = Terminal(theirs)
        said.until("next runs the first")
        said.type("next", "2 sets left")
        said.type("printbalance 31", "PrintBalance(31) → n4 : 6, n5 : 6, n6 : 6")
        said.type("printbalance 1..120", "total 1200, count 120")
        said.type("skip", "set 2 skipped")
        said.type("next", "that was the last set")
        said.type("next", "load it again to start over")
        os.write(theirs, b"quit\r")
        assert child.wait(60) == 0
    os.close(theirs)


class Terminal:
    """The far end of a terminal."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.text = ""

    def type(self, line: str, answer: str) -> None:
        self.until("bank> ")
        os.write(self.descriptor, f"{line}\r".encode())
        self.until(answer)

    def until(self, wanted: str) -> None:
        """Read on until ``wanted`` comes; what was read before is gone."""
        until = time.monotonic() + 60
        while wanted not in self.text:
            ready, _, _ = select.select([self.descriptor], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"{wanted!r} did not come; at last:\n{self.text[-2000:]}"
            self.text += os.read(self.descriptor, 65_536).decode(errors="replace")
        self.text = self.text.partition(wanted)[2]


def test_malformed_file_is_one_line_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("Set Number,Transactions,Live Nodes\n1,(x),[n1]\n", encoding="utf-8")
    done = testset(str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("testset: line 2, column 4: ")


def test_choosing_sets() -> None:
    sets = parse(FILE.read_bytes())
    assert [each.number for each in choose(sets, " 3, 1")] == [1, 3]
    assert choose(sets, "") == sets
    for wrong in ("1,11", "one", "1;2"):
        with pytest.raises(UsageError, match="--sets: "):
            choose(sets, wrong)
