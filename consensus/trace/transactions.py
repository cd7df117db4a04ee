"""The transactions of a recording, from its events alone: a row of each, and which clusters worked on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from consensus.trace.events import TraceEvent
from consensus.types import AMBIENT_PREFIX, KEPT_PREFIX

KINDS: Final = frozenset(("tx.submit", "tx.lock", "tx.vote", "tx.decide", "tx.apply", "tx.reply"))
"""What makes a transaction one of the recording."""
ROWS_MAX: Final = 20_000
"""Of more transactions the oldest are left out."""
OUTCOMES: Final = ("committed", "aborted", "unknown")
"""``unknown``: no event says what became of it."""
_AMBIENT_HEX: Final = AMBIENT_PREFIX.hex()
_KEPT_HEX: Final = KEPT_PREFIX.hex()


class Row:
    """What events tell of one transaction.

    Args:
        event: the first one.
        clusters: node to the cluster it is in.

    Attributes:
        about: the row as JSON; ``ts`` and ``q`` of the earliest event (nodes tell one after the other, so it
            need not come first), ``ms`` as the leader measured it or None.
        accounts: those it touches, as far as events say.
        told_at: order number of the event that was told first.
    """

    def __init__(self, event: TraceEvent, clusters: Mapping[int, int]) -> None:
        tx = event["tx"]
        self.accounts: set[int] = set()
        self.told_at: int = event["q"]
        self._clusters = clusters
        self._asked: list[int] = []
        self._worked: set[int] = set()
        self._coordinator = 0
        self.about: dict[str, Any] = {
            "id": tx,
            "ts": event["ts"],
            "q": event["q"],
            "from": 0,
            "to": 0,
            "amt": 0,
            "outcome": "unknown",
            "why": "",
            "ms": None,
            "kept": tx.startswith(_KEPT_HEX),
            "ambient": tx.startswith(_AMBIENT_HEX),
        }

    def add(self, event: TraceEvent) -> None:
        """Another event of the same transaction; one of :data:`KINDS`."""
        about, kind = self.about, event["k"]
        if event["ts"] < about["ts"]:
            about["ts"], about["q"] = event["ts"], event["q"]
        if "from" in event:
            about["from"], about["to"], about["amt"] = event["from"], event["to"], event["amt"]
            self.accounts.update((event["from"], event["to"]))
        listed = [*event.get("legs", ())[::2], *event.get("accounts", ())]
        self.accounts.update(account for account in listed if type(account) is int)
        if "outcome" in event:
            about["outcome"], about["why"] = event["outcome"], event.get("why", about["why"])
        if kind == "tx.reply":
            about["ms"] = event["ms"]
        cluster = self._clusters.get(event.get("n", 0), 0)
        if cluster and kind == "tx.submit":
            self._asked.append(cluster)
        elif cluster:
            self._worked.add(cluster)
        if cluster and kind in ("tx.decide", "tx.reply"):
            self._coordinator = cluster

    @property
    def clusters(self) -> list[int]:
        """Those that worked on it, the coordinating one first: it decided or answered, or was asked last.

        A cluster that was only asked refused, unless no other did more.
        """
        if not self._worked:
            return self._asked[-1:]
        asked = [cluster for cluster in self._asked if cluster in self._worked]
        first = self._coordinator or (asked[-1] if asked else min(self._worked))
        return [first, *sorted(self._worked - {first})]

    def told(self) -> dict[str, Any]:
        """The row, complete."""
        return {**self.about, "parties": len(self.accounts), "clusters": self.clusters}


class Rows:
    """Every transaction that the events so far (of :data:`KINDS`) tell of.

    Args:
        clusters: node to the cluster it is in.

    Attributes:
        last: order number of the last event that was taken in.
        left_out: how many of the oldest are not held any more.
    """

    def __init__(self, clusters: Mapping[int, int]) -> None:
        self.last = 0
        self.left_out = 0
        self._clusters = clusters
        self._found: dict[str, Row] = {}

    def take(self, events: Iterable[TraceEvent]) -> None:
        """More events, in order."""
        found = self._found
        for event in events:
            row = found.get(event["tx"])
            if row is None:
                if len(found) >= ROWS_MAX:
                    del found[next(iter(found))]
                    self.left_out += 1
                row = found[event["tx"]] = Row(event, self._clusters)
            row.add(event)
            self.last = event["q"]

    def get(self, tx: str) -> Row | None:
        """What is known of one."""
        return self._found.get(tx)

    def since(self, q: int) -> list[Row]:
        """Those that began at ``q`` or later, by ``q``."""
        return sorted(
            [row for row in self._found.values() if row.about["q"] >= q], key=lambda row: row.about["q"]
        )


def clusters_of(header: Mapping[str, Any]) -> dict[int, int]:
    """Node to cluster, of a recording's header."""
    return {node: cluster["id"] for cluster in header["topology"]["clusters"] for node in cluster["nodes"]}
