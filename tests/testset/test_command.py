"""``manage.py testset`` as people run it."""

from __future__ import annotations

import json
import subprocess
import sys
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
