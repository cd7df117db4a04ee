"""Every notable kind has a sentence, and no sentence names a field that may be missing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from consensus.trace.events import KINDS, validate
from consensus.trace.narrate import LEVELS, SENTENCES, narrate

ROOT = Path(__file__).parent.parent.parent
SAMPLES: dict[str, Any] = {
    "int": 3,
    "number": 1.5,
    "text": "x",
    "flag": True,
    "map": {},
    "list": [1],
    "ballot": [2, 3],
}
NOTABLE = sorted(kind for kind, spec in KINDS.items() if spec.notable or spec.step)


def bare(kind: str) -> dict[str, Any]:
    """The least event of a kind: what every one of them carries."""
    return {"k": kind, "ts": 1} | {
        name: SAMPLES[type_name] for name, type_name in KINDS[kind].required.items()
    }


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", NOTABLE)
def test_every_notable_kind_has_a_sentence_from_its_required_fields(kind: str, level: str) -> None:
    sentence = narrate(validate(bare(kind)), level)
    assert sentence
    assert "{" not in sentence


def test_sentences_are_for_kinds_that_exist_and_are_notable_or_steps() -> None:
    assert sorted(SENTENCES["kinds"]) == NOTABLE


@pytest.mark.parametrize("kind", NOTABLE)
def test_a_variant_names_only_fields_that_are_required_or_asked_for(kind: str) -> None:
    for level, variants in SENTENCES["kinds"][kind].items():
        assert level in LEVELS
        for variant in variants:
            named = set(re.findall(r"\{(\w+)\}", variant["text"]))
            known = set(KINDS[kind].required) | set(variant.get("has", ()))
            # A transfer's page entry brings all of its parties or none.
            if "from" in variant.get("has", ()):
                known |= {"to", "amt"}
            assert named <= known


def test_variants_follow_their_fields() -> None:
    ballot = {"k": "paxos.ballot", "ts": 1, "n": 2, "b": [2, 2]}
    assert narrate(ballot) == "n2 stood for election with ballot (2,2)"
    assert narrate({**ballot, "since_ms": 143.26}) == (
        "n2 stood for election with ballot (2,2): no heartbeat for 143.3 ms"
    )
    assert narrate({**ballot, "n": 3}) == "n3 promised ballot (2,2)"


def test_codes_become_words() -> None:
    reply = {"k": "tx.reply", "ts": 1, "tx": "a", "outcome": "aborted", "ms": 1, "why": "insufficient_funds"}
    assert narrate(reply) == "A transaction aborted: the sender has not enough money"
    known = {**reply, "from": 1, "to": 2, "amt": 9}
    assert narrate(known) == "9 from 1 to 2 aborted: the sender has not enough money"


def test_steps_of_a_transaction() -> None:
    step = {"ts": 1, "n": 4, "tx": "a", "s": 7}
    assert narrate({**step, "k": "tx.lock", "accounts": [33, 34]}) == (
        "n4 applied the prepare in slot 7; locked: 33, 34"
    )
    assert narrate({**step, "k": "tx.vote", "yes": False, "why": "lock_timeout"}) == (
        "n4 votes no: an account stayed locked too long"
    )
    sent = {"k": "msg.send", "ts": 1, "n": 1, "to": 4, "m": "tx.decision", "mid": "x", "bytes": 9}
    assert narrate(sent) == "n1 sent the decision to n4"


def test_other_kinds_have_none() -> None:
    assert narrate({"k": "paxos.applied", "ts": 1, "n": 1, "s": 4}) is None


def test_the_browser_reads_the_same_sentences() -> None:
    served = json.loads((ROOT / "static" / "js" / "sentences.json").read_text(encoding="utf-8"))
    assert served == SENTENCES, "copy consensus/trace/sentences.json to static/js/"
