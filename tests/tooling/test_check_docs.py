"""The documentation checker finds what it says it finds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("check_docs", ROOT / "scripts" / "check_docs.py")
assert _spec is not None
assert _spec.loader is not None
check_docs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_docs)

GOOD = """
# The bank

[other](b.md) [part](b.md#two-words) [own](#the-bank) [web](https://example.org/x) [folder](sub)
`[not a link](nowhere.md)`

```mermaid
flowchart LR
  a["one [1]"] --> b{two}
  subgraph s
    c(three)
  end
```

~~~text
[not a link](nowhere.md)
~~~
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.md").write_text("# B\n\n## Two `words`\n")
    return tmp_path


def found(folder: Path, text: str) -> list[str]:
    path = folder / "a.md"
    path.write_text(text)
    return list(check_docs.problems(path, folder))


def test_a_good_document_has_no_faults(folder: Path) -> None:
    assert found(folder, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("(b.md)", "(c.md)", "a.md:4: c.md: there is no such file"),
        ("#two-words", "#three-words", "a.md:4: b.md#three-words: there is no such heading"),
        ("#the-bank", "#the-shop", "a.md:4: #the-shop: there is no such heading"),
        ("(sub)", "(../../x)", "a.md:4: ../../x: leads out of the project"),
        ("~~~\n", "", "a.md:15: fence is not closed"),
        ("flowchart LR", "flow LR", "a.md:7: diagram: does not begin with one of"),
        ("b{two}", "b{two", "a.md:7: diagram: { and } are not balanced"),
        ("  end\n", "", "a.md:7: diagram: 1 blocks are opened and 0 ended"),
        ('1]"]', "1]]", "a.md:7: diagram: a quotation mark is not closed"),
    ],
)
def test_each_fault_is_found(folder: Path, old: str, new: str, fault: str) -> None:
    assert old in GOOD
    text = GOOD.rpartition(old)
    faults = found(folder, text[0] + new + text[2])
    assert [line for line in faults if line.startswith(fault)], faults


def test_a_page_that_nobody_links_to_is_found(folder: Path) -> None:
    (folder / "docs").mkdir()
    index, lost = folder / "docs" / "index.md", folder / "docs" / "lost.md"
    index.write_text("[itself](index.md) [b](../b.md)")
    lost.write_text("[start](index.md) [itself](lost.md)")
    paths = [folder / "b.md", index, lost]
    assert list(check_docs.orphans(paths, folder)) == ["docs/lost.md: no other page links to it"]
    index.write_text("[found](lost.md#part)")
    assert list(check_docs.orphans(paths, folder)) == []


def test_the_projects_own_documents_are_sound() -> None:
    paths = check_docs.documents()
    assert [line for path in paths for line in check_docs.problems(path)] + list(
        check_docs.orphans(paths)
    ) == []
