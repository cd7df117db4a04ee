"""The import contracts in pyproject.toml catch what ARCHITECTURE forbids: each is broken once, in a copy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(tool), "--no-cache", "--config", "pyproject.toml"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "consensus", tmp_path / "consensus", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_project_keeps_its_rules(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("types.py", "import consensus.topology", "Imports run downward"),
        ("codec.py", "import consensus.paxos", "Imports run downward"),
        ("bank/state.py", "import consensus.paxos", "Paxos and the bank never import each other"),
        ("simulation/__init__.py", "import consensus.node", "The worker and the simulator"),
        ("storage/__init__.py", "import consensus.replica", "Storage and net know"),
        ("client/__init__.py", "import consensus.storage", "The client library knows nothing"),
        ("replica/__init__.py", "import time", "The core does no input or output"),
        ("paxos/__init__.py", "import asyncio", "The core does no input or output"),
        ("cluster/__init__.py", "import django", "consensus never imports Django"),
    ],
)
def test_a_broken_rule_is_found(copy: Path, module: str, line: str, contract: str) -> None:
    path = copy / "consensus" / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    result = lint(copy)
    assert result.returncode == 1
    broken = [row for row in result.stdout.splitlines() if row.endswith("BROKEN")]
    assert any(row.startswith(contract) for row in broken), result.stdout
