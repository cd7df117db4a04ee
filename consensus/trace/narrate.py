"""One sentence per event, from a template over its fields, at three levels.

The templates are data (``sentences.json``) that ``static/js/narrate.js`` reads, too. A kind has variants per
level; the first whose ``if`` fields are equal and whose ``has`` fields are there and not empty is taken.
``plain`` tells what happened; ``course`` adds what that means, ``paper`` where it is written, both around the
plain sentence. Where they have nothing to add, they say what ``plain`` says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from consensus.trace.events import TraceEvent

LEVELS: Final = ("plain", "course", "paper")
SENTENCES: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "sentences.json").read_text(encoding="utf-8")
)
_FIELD: Final = re.compile(r"\{(\w+)\}")
_LISTS: Final = {"accounts": "", "again": "", "has": "", "quorum": "n"}
"""Fields that are lists, and what stands before each of their parts; any other list is a ballot."""
PLAN_CHARS: Final = 8
LIST_MAX: Final = 8
PLAIN: Final = "plain"
"""Where a text of another level puts the plain sentence."""
_ONE_DECIMAL: Final = frozenset({"ms", "since_ms"})


def narrate(event: TraceEvent, level: str = "plain") -> str | None:
    """The sentence for ``event``; None when its kind is not one that people are told of.

    Raises:
        KeyError: the template names a field that the event lacks, so the event is not of the schema.
    """
    kind = SENTENCES["kinds"].get(event["k"])
    if kind is None:
        return None
    fields = _derived(event)
    plain = _said(kind["plain"], fields)
    if level == "plain" or plain is None:
        return plain
    return _said(kind.get(level, ()), {**fields, PLAIN: plain}) or plain


def _said(variants: Iterable[Mapping[str, Any]], fields: Mapping[str, Any]) -> str | None:
    """The first variant that fits, filled in."""
    for variant in variants:
        if _fits(variant, fields):
            return _FIELD.sub(lambda match: _text(match[1], fields[match[1]]), variant["text"])
    return None


def _derived(event: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(event)
    if event["k"] == "paxos.ballot":
        fields["own"] = event["b"][1] == event["n"]
    if event["k"] == "ctl":
        fields["target"] = event.get("args", {}).get("node")
    return fields


def _fits(variant: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    if any(fields.get(name) != value for name, value in variant.get("if", {}).items()):
        return False
    return all(fields.get(name) not in (None, "", 0, []) for name in variant.get("has", ()))


def _text(name: str, value: Any) -> str:
    if name in _ONE_DECIMAL:
        return f"{value:.1f}"
    if name in _LISTS:
        more = f" and {len(value) - LIST_MAX} more" if len(value) > LIST_MAX else ""
        return ", ".join(f"{_LISTS[name]}{part}" for part in value[:LIST_MAX]) + more
    if name == "plan":
        return str(value)[:PLAN_CHARS]
    if isinstance(value, list | tuple):
        return f"({','.join(str(part) for part in value)})"
    if name == PLAIN:
        return str(value)
    text = str(value)
    return str(SENTENCES["words"].get(text, text))
