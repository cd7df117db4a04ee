"""Checks of transactions across clusters, by what their leaders have applied.

``2PC atomic``
    what a participant remembers of a transaction (committed, aborted) is what its coordinator decided. Nodes
    are asked one after the other, so a difference counts once it is seen twice.
``locks drained``
    no prepared transaction keeps its locks while all its clusters have leaders: none is held for longer than
    :data:`HELD_S` then. Without a majority on one side the locks rightly stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from bankweb.orchestration.bank import topology
from bankweb.orchestration.hub import hub
from bankweb.orchestration.nodes import cluster_row
from consensus.types import ClusterId, NodeId

HELD_S: Final = 15.0
"""Longer than a transaction may wait for its votes, a new election included."""
REMEMBERED_MAX: Final = 10_000


def verdict(name: str, detail: str, *, ok: bool = True) -> dict[str, Any]:
    """An event ``check``, without its time."""
    return {"k": "check", "name": name, "ok": ok, "detail": detail}


def leaders() -> dict[ClusterId, NodeId]:
    """The leader of each cluster that has one."""
    rows = [cluster_row(cluster) for cluster in topology().clusters]
    return {row["id"]: row["leader"] for row in rows if row["leader"]}


class Atomic:
    """Compares ends of the same transactions in both of their clusters."""

    def __init__(self) -> None:
        self._compared: dict[str, None] = {}
        self._count = 0
        self._differed: set[tuple[str, ClusterId]] = set()

    async def look(self) -> dict[str, Any] | None:
        """The verdict; None until something could be compared."""
        leading = leaders()
        ends: dict[ClusterId, dict[str, list[tuple[ClusterId, dict[str, Any]]]]] = {}
        for cluster, node in leading.items():
            for row in (await hub().ask(node, "ends") or {}).get("finished", ()):
                ends.setdefault(row["coordinator"], {}).setdefault(row["tx"], []).append((cluster, row))
        differ: dict[tuple[str, ClusterId], str] = {}
        for coordinator, by_tx in ends.items():
            node = leading.get(coordinator)
            told = None if node is None else await hub().ask(node, "ends", txs=sorted(by_tx)[:500])
            for known in (told or {}).get("known", ()):
                self._note(known["tx"])
                for cluster, row in by_tx[known["tx"]]:
                    if differs(row, known):
                        words = ("aborted", "committed")
                        differ[known["tx"], cluster] = (
                            f"{known['tx']} {words[row['commit']]} in cluster {cluster}, "
                            f"{words[known['commit']]} in cluster {coordinator}"
                        )
        lasting = sorted(differ.keys() & self._differed)
        self._differed = set(differ)
        if lasting:
            return verdict("2PC atomic", "; ".join(differ[key] for key in lasting[:3]), ok=False)
        if not self._count:
            return None
        return verdict("2PC atomic", f"{self._count} transactions ended alike in all their clusters")

    def _note(self, tx: str) -> None:
        if tx in self._compared:
            return
        self._count += 1
        self._compared[tx] = None
        if len(self._compared) > REMEMBERED_MAX:
            del self._compared[next(iter(self._compared))]


def differs(row: dict[str, Any], known: dict[str, Any]) -> bool:
    """Whether a participant's end of a transaction contradicts its coordinator's.

    An abort of an earlier attempt does not contradict the commit of a later one that is still under way.
    """
    if row["commit"] == known["commit"]:
        return False
    return row["commit"] or known["number"] is None or known["number"] == row["number"]


class Locks:
    """Watches how long transactions hold their locks. ``clock``: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[tuple[ClusterId, str], float] = {}

    async def look(self) -> dict[str, Any] | None:
        """The verdict; None while no cluster can be asked."""
        leading = leaders()
        now = self._clock()
        held: dict[tuple[ClusterId, str], ClusterId] = {}
        asked = 0
        for cluster, node in leading.items():
            told = await hub().ask(node, "locks")
            if told is not None:
                asked += 1
                held |= {(cluster, lock["tx"]): lock["coordinator"] for lock in told["locks"]}
        if not asked:
            return None
        self._since = {key: self._since.get(key, now) for key in held}
        waits = [key for key, coordinator in held.items() if coordinator not in leading]
        for key in waits:
            # Blocked, as two-phase commit is without a majority: its time begins when there is one again.
            self._since[key] = now
        stuck = sorted(key for key, since in self._since.items() if now - since > HELD_S)
        if stuck:
            told_of = ", ".join(f"{tx} in cluster {cluster}" for cluster, tx in stuck[:3])
            detail = f"held for more than {HELD_S:g} s with all clusters led: {told_of}"
            return verdict("locks drained", detail, ok=False)
        detail = (
            f"{len(held)} held at the moment, each for less than {HELD_S:g} s" if held else "none is held"
        )
        if waits:
            detail += f"; {len(waits)} wait for a coordinator without a leader"
        return verdict("locks drained", detail)
