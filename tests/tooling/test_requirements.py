"""The check of requirements.txt notices each way of going stale."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("requirements", ROOT / "scripts" / "requirements.py")
assert _spec is not None
assert _spec.loader is not None
requirements = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(requirements)

PROJECT: dict[str, Any] = {
    "project": {"dependencies": ["alpha[extra]>=1,<2", "Beta_B>=3"]},
    "dependency-groups": {"dev": ["gamma"]},
}
HASH = f"    --hash=sha256:{'0' * 64}"
PINS = f"""alpha[extra]==1.5 \\
{HASH} \\
{HASH}
    # via x
beta-b==3.0 ; sys_platform == 'linux' \\
{HASH}
"""


def problems(text: str, groups: list[str] | None = None) -> list[str]:
    found: list[str] = requirements.problems("r.txt", text, PROJECT, groups or [])
    return found


def compiled(pins: str = PINS, groups: list[str] | None = None) -> str:
    return str(requirements.first_line(PROJECT, groups or [])) + pins


def test_a_fresh_file_is_fine() -> None:
    assert problems(compiled()) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (PINS, "the ranges in pyproject.toml have changed"),
        (compiled(PINS.replace("==1.5", "==2.0")), "alpha is pinned at 2.0, outside"),
        (compiled(PINS.replace("beta-b", "delta")), "Beta_B is not pinned"),
        (compiled(PINS + "delta==1\n"), "delta has no hash"),
        (compiled("--index-url https://example.org\n" + PINS), "names an address of a registry"),
    ],
)
def test_each_fault_is_told(text: str, problem: str) -> None:
    assert any(problem in line for line in problems(text)), problems(text)


def test_a_group_counts_for_its_file_only() -> None:
    assert problems(compiled(groups=["dev"]), ["dev"]) == ["r.txt: gamma is not pinned"]


def test_the_projects_own_files_are_up_to_date() -> None:
    assert requirements.check() == 0
