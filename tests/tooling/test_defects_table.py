"""The table of the forty defects in docs/testing.md names what there is, and leaves none out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "testing.md").read_text(encoding="utf-8")
SECTION = TEXT.split("\n## Forty defects\n", 1)[1].split("\n## ", 1)[0]
ROWS = {
    int(number): (re.findall(r"`([^`]+)`", tests), re.findall(r"`([^`]+)`", mutations))
    for number, tests, mutations in re.findall(
        r"^\| (\d+) \| [^|]+ \| ([^|]*) \| ([^|]*) \|$", SECTION, re.MULTILINE
    )
}


@cache
def functions(path: str) -> dict[str, str]:
    """Names of a file's functions, and what each says of itself."""
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name: ast.get_docstring(node) or "" for node in found}


@cache
def tried() -> set[str]:
    """Mutations that a test names, besides where they are defined and in tables of such tests."""
    words: set[str] = set()
    for path in TESTS.glob("sim/*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                words.add(node.id)
    return words


def test_every_number_is_there_once() -> None:
    assert list(ROWS) == list(range(1, 41))
    assert len(re.findall(r"^\| \d+ \|", SECTION, re.MULTILINE)) == 40


@pytest.mark.parametrize("number", ROWS)
def test_what_a_row_names_exists(number: int) -> None:
    tests, mutations = ROWS[number]
    assert tests
    for reference in tests:
        path, _, name = reference.partition("::")
        assert name.startswith("test_") and name in functions(path), reference
    for reference in mutations:
        path, _, name = reference.partition("::")
        assert name in functions(path), reference
        assert name in tried(), f"no test takes {name} away"


def test_each_mutation_with_a_number_stands_in_the_row_of_that_number() -> None:
    for path in ("sim/mutations.py", "sim/cross_mutations.py", "sim/move_mutations.py"):
        for name, text in functions(path).items():
            numbers = re.match(r"([\d, ]+):", text)
            for number in re.findall(r"\d+", numbers[1]) if numbers else []:
                assert f"{path}::{name}" in ROWS[int(number)][1], (name, number)
