"""Write static/js/glossary.json from docs/glossary.md: definitions that pages show on hover and on focus."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = ROOT / "docs" / "glossary.md"
TARGET: Final = ROOT / "static" / "js" / "glossary.json"
_ROW: Final = re.compile(r"^\| \*\*(?P<words>[^*]+)\*\* \| (?P<means>.*) \|$")

MARKED: Final = {
    "ballot": ("ballot", "ballots"),
    "slot": ("slot", "slots"),
    "promise": ("promise", "promises", "promised"),
    "accepted": ("accepted",),
    "chosen": ("chosen",),
    "applied": ("applied",),
    "watermark": ("watermark",),
    "batch": ("batch",),
    "leader": ("leader", "leaders"),
    "follower": ("follower", "followers"),
    "candidate": ("candidate",),
    "learner": ("learner",),
    "NEW-VIEW": ("new-view",),
    "pre-vote": ("pre-vote",),
    "lag": ("lag",),
    "lease": ("lease",),
    "2PC": ("2pc", "two-phase commit"),
    "coordinator": ("coordinator",),
    "participant": ("participant",),
    "decision": ("decision",),
    "undo log": ("undo log",),
    "epoch": ("epoch",),
    "outcome": ("outcome",),
    "unknown": ("unknown",),
    "journal": ("journal",),
    "checkpoint": ("checkpoint",),
    "incarnation": ("incarnation",),
    "state hash": ("state hash",),
    "hypergraph": ("hypergraph",),
    "net": ("net", "nets"),
    "super-vertex": ("super-vertex", "super-vertices"),
    "cut": ("cut",),
    "trial": ("trial",),
    "plan": ("plan",),
}
"""Terms that are marked where pages say them, and the words that stand for them. Everyday words are not."""


def terms(text: str) -> dict[str, str]:
    """Term to definition. A row of several terms whose definition has as many parts gives one to each."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        row = _ROW.match(line)
        if row is None:
            continue
        words = [word.strip() for word in row["words"].split(",")]
        means = row["means"].replace("`", "").replace("*", "")
        parts = [part.strip() for part in means.rstrip(".").split(";")]
        for index, word in enumerate(words):
            found[word] = f"{parts[index]}.".capitalize() if len(words) == len(parts) > 1 else means
    return found


def document() -> str:
    """What the file holds.

    Raises:
        KeyError: a marked term is not in the glossary.
    """
    found = terms(SOURCE.read_text(encoding="utf-8"))
    known = {term: found[term] for term in MARKED}
    marked = {word: term for term, words in MARKED.items() for word in words}
    return json.dumps({"terms": known, "marked": marked}, ensure_ascii=False, indent=1) + "\n"


def main() -> int:
    TARGET.write_text(document(), encoding="utf-8")
    print(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
