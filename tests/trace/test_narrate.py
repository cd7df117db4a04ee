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
PROTOCOLS = ("paxos.", "tx.", "mig.", "hg.", "node.", "link.", "msg.", "map.")
"""Kinds that course and paper have something to add to."""


def bare(kind: str) -> dict[str, Any]:
    """The least event of a kind: what every one of them carries."""
    return {"k": kind, "ts": 1} | {
        name: SAMPLES[type_name] for name, type_name in KINDS[kind].required.items()
    }


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_a_sentence_from_its_required_fields(kind: str, level: str) -> None:
    sentence = narrate(validate(bare(kind)), level)
    assert sentence
    assert "{" not in sentence
    plain = narrate(bare(kind))
    assert plain is not None and sentence.startswith(plain), "a level adds to the plain sentence"


def test_sentences_are_for_kinds_that_exist() -> None:
    assert sorted(SENTENCES["kinds"]) == sorted(KINDS)
    assert sorted(SENTENCES["steps"] + [kind for kind, spec in KINDS.items() if spec.notable]) == sorted(
        KINDS
    )


@pytest.mark.parametrize("kind", sorted(kind for kind in KINDS if kind.startswith(PROTOCOLS)))
def test_what_the_protocols_do_is_told_with_its_place_in_a_paper(kind: str) -> None:
    assert "course" in SENTENCES["kinds"][kind]
    papers = [variant["text"] for variant in SENTENCES["kinds"][kind]["paper"]]
    assert all(re.search(r"\[[^\]]+, [^\]]+\]", text) or text == "{plain}" for text in papers), papers
    assert any(text != "{plain}" for text in papers)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_variant_names_only_fields_that_are_required_or_asked_for(kind: str) -> None:
    for level, variants in SENTENCES["kinds"][kind].items():
        assert level in LEVELS
        for variant in variants:
            named = set(re.findall(r"\{(\w+)\}", variant["text"]))
            known = set(KINDS[kind].required) | set(variant.get("has", ())) | {"plain"}
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


def test_a_batch_is_not_its_plan_and_long_lists_end() -> None:
    batch = {"k": "mig.start", "ts": 1, "n": 1, "cl": 1, "plan": "ab12cd34ef", "batch": 7, "to": 2}
    told = narrate({**batch, "accounts": list(range(1, 13))})
    assert told == (
        "Batch 7 of plan ab12cd34 begins to move from cluster 1 to cluster 2:"
        " 1, 2, 3, 4, 5, 6, 7, 8 and 4 more"
    )
    assert narrate({**batch, "k": "mig.done"}) == "Batch 7 of plan ab12cd34 is at work in cluster 2"
    assert narrate({"k": "mig.done", "ts": 1, "plan": "ab12cd34ef", "moved": 90}) == (
        "Plan ab12cd34 is done: 90 accounts moved"
    )


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


def test_levels_add_to_the_plain_sentence() -> None:
    stood = {"k": "paxos.ballot", "ts": 1, "n": 2, "b": [2, 2], "since_ms": 143.26, "silent": 1}
    plain = "n2 stood for election with ballot (2,2): no heartbeat from n1 for 143.3 ms"
    assert narrate(stood) == plain
    assert str(narrate(stood, "course")).startswith(f"{plain}. A ballot is (round, node)")
    assert narrate(stood, "paper") == (
        f"{plain}. Phase 1a: prepare with a number above all others [Lamport, Paxos Made Simple, §2.2]"
    )
    assert narrate({"k": "mark", "ts": 1, "text": "here"}, "paper") == "here"


def test_steps_are_named_for_the_browser() -> None:
    assert sorted(SENTENCES["steps"]) == sorted(kind for kind, spec in KINDS.items() if spec.step)


def test_an_election_is_told_with_its_reasons() -> None:
    stood = {"k": "paxos.ballot", "ts": 1, "n": 2, "b": [2, 2], "since_ms": 143.26, "silent": 1}
    assert narrate(stood) == "n2 stood for election with ballot (2,2): no heartbeat from n1 for 143.3 ms"
    led = {"k": "paxos.leader", "ts": 1, "n": 2, "cl": 1, "b": [2, 2], "leader": 2, "w": 40}
    assert narrate({**led, "quorum": [2, 3], "again": [41, 42]}) == (
        "n2 leads cluster 1 with ballot (2,2), promised by n2, n3; all up to slot 40 was chosen before; "
        "proposed again because a promise carried it: slot 41, 42"
    )
    sent = {"k": "msg.send", "ts": 1, "n": 1, "to": 2, "m": "accept", "mid": "x", "bytes": 9}
    assert narrate({**sent, "s": 41, "b": [2, 2]}) == "n1 sent Accept of slot 41, ballot (2,2), to n2"


def test_the_browser_reads_the_same_sentences() -> None:
    served = json.loads((ROOT / "static" / "js" / "sentences.json").read_text(encoding="utf-8"))
    assert served == SENTENCES, "copy consensus/trace/sentences.json to static/js/"
