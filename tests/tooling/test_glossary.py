"""What pages show of the glossary is what the glossary says."""

from __future__ import annotations

import json

from scripts import glossary


def test_pages_have_the_definitions_of_the_glossary() -> None:
    assert glossary.TARGET.read_text(encoding="utf-8") == glossary.document(), "run scripts/glossary.py"


def test_rows_of_several_terms_are_divided() -> None:
    rows = (
        "| **leader, follower** | Proposes; accepts. |\n| **fail, recover** | Acts `dead`. |\n| not | a row |"
    )
    assert glossary.terms(rows) == {
        "leader": "Proposes.",
        "follower": "Accepts.",
        "fail": "Acts dead.",
        "recover": "Acts dead.",
    }


def test_a_word_stands_for_one_term() -> None:
    marked = json.loads(glossary.document())["marked"]
    assert sum(len(words) for words in glossary.MARKED.values()) == len(marked)
    assert all(word == word.lower() for word in marked)
