"""What people did in a stretch of a recording, once more: for the shell, over REST, or as a test set.

Taken are kept transfers (of forms, single requests and the shell), and acts on nodes, links and the bank that
were carried out. Reads leave no trace, so they are missing; so is what benchmarks, experiments and ambient
traffic sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from consensus.trace.draft import State
from consensus.trace.events import TraceError, TraceEvent
from consensus.types import KEPT_PREFIX

_KEPT_HEX: Final = KEPT_PREFIX.hex()
_TO_NODES: Final = ("fail", "recover", "kill", "restart", "pause", "resume")
_TAKEN: Final = (*_TO_NODES, "link", "heal", "reset")
_DOWN: Final = frozenset(("fail", "kill", "pause"))
"""Acts that a test set knows as F; the others on nodes are R."""


class Act(NamedTuple):
    """Something that somebody did: ``name`` ``transfer`` or of :data:`_TAKEN`; ``args`` as told."""

    ts: int
    name: str
    args: dict[str, Any]


def acts(events: Iterable[TraceEvent]) -> Iterator[Act]:
    """What people did, in order; a transfer that was sent again is there once."""
    seen: set[str] = set()
    for event in events:
        if event["k"] == "tx.submit" and event["tx"].startswith(_KEPT_HEX) and event["tx"] not in seen:
            seen.add(event["tx"])
            yield Act(event["ts"], "transfer", {name: event[name] for name in ("from", "to", "amt")})
        elif event["k"] == "ctl" and event["cmd"] in _TAKEN and event.get("result") == "ok":
            yield Act(event["ts"], event["cmd"], event.get("args", {}))


def _nothing() -> TraceError:
    return TraceError("nobody sent a transfer or acted on the bank in this stretch: there is nothing to copy")


def _when(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / 1e6, UTC):%H:%M:%S.%f}"[:-3]


def _title(header: dict[str, Any]) -> str:
    return f"# {header['run']}, {datetime.fromtimestamp(header['t0'] / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC\n"


def shell(header: dict[str, Any], state: State, events: Iterable[TraceEvent]) -> Iterator[str]:
    """Lines for bankshell. What it has no command for stands as a comment.

    Raises:
        TraceError: nobody did anything.
    """
    empty = True
    for act in acts(events):
        if empty:
            yield _title(header) + "# flush sets the balances back first\nflush\n"
        empty = False
        args = act.args
        if act.name == "transfer":
            line = f"send {args['from']} {args['to']} {args['amt']}"
        elif act.name in ("fail", "recover"):
            line = f"{act.name} {args['node']}"
        elif act.name == "reset":
            line = "flush"
        else:
            line = f"# over REST only: {_request(act)[0]}"
        yield f"{line}  # {_when(act.ts)}\n"
    if empty:
        raise _nothing()


def _request(act: Act) -> tuple[str, dict[str, Any] | None]:
    """Path below ``/api/`` and body of the act."""
    if act.name == "transfer":
        sender, receiver, amount = (act.args[name] for name in ("from", "to", "amt"))
        return "transactions/", {"sender": sender, "receiver": receiver, "amount": amount}
    if act.name in _TO_NODES:
        return f"nodes/{act.args['node']}/{act.name}/", None
    return {"heal": "faults/heal/", "reset": "reset/", "link": "links/"}[act.name], None


def rest(header: dict[str, Any], state: State, events: Iterable[TraceEvent]) -> Iterator[str]:
    """A script of requests, with the pauses between them; ``PACE=0`` leaves those out.

    Raises:
        TraceError: nobody did anything.
    """
    before: int | None = None
    for act in acts(events):
        if before is None:
            yield "#!/bin/sh\n" + _title(header) + _REST_HEAD
            before = act.ts
        if act.ts > before:
            yield f"wait_for {(act.ts - before) / 1e6:.3f}\n"
        before = act.ts
        for path, body in _requests(act):
            words = "" if body is None else " '" + json.dumps(body).replace("'", "'\\''") + "'"
            yield f"post {path}{words}  # {_when(act.ts)}\n"
    if before is None:
        raise _nothing()


def _requests(act: Act) -> list[tuple[str, dict[str, Any] | None]]:
    if act.name != "link":
        return [_request(act)]
    return [
        (
            "links/",
            {
                "from": link["source"],
                "to": link["target"],
                "cut": link["cut"],
                "delay_ms": link["delay_ms"],
                "loss": link["loss"],
            },
        )
        for link in act.args["links"]
    ]


_REST_HEAD: Final = """\
# SITE: where the site is; TOKEN: its token; PACE=0: no pauses
: "${SITE:?}" "${TOKEN:?}"
post() {
  curl -sS -X POST "$SITE/api/$1" -H "Authorization: Token $TOKEN" \\
    -H 'Content-Type: application/json' ${2:+-d "$2"}
  echo
}
wait_for() { [ "${PACE:-1}" = 0 ] || sleep "$1"; }
"""


def testset(header: dict[str, Any], state: State, events: Iterable[TraceEvent]) -> Iterator[str]:
    """A course test set: a set for each life of the bank, with the nodes that were up when it began.

    Kill and pause become F, restart and resume R, heal an R for each node that is down. Faults of links and
    transfers before the first row have no form there.

    Raises:
        TraceError: nobody did anything.
    """
    nodes = [node for cluster in header["topology"]["clusters"] for node in cluster["nodes"]]
    down = {int(key) for key, node in state["nodes"].items() if node["up"] not in ("up", "unknown")}
    number = 1
    live = _live(nodes, down)
    rows: list[str] = []
    wrote = False
    for act in acts(events):
        if act.name == "reset":
            if rows:
                yield from _set(number, live, rows, header_row=not wrote)
                wrote, number, rows = True, number + 1, []
            live = _live(nodes, down)
        elif act.name == "transfer":
            rows.append(f'"({act.args["from"]}, {act.args["to"]}, {act.args["amt"]})"')
        elif act.name == "heal":
            rows += [f"R(n{node})" for node in sorted(down)]
            down.clear()
        elif act.name in _TO_NODES:
            node = act.args["node"]
            rows.append(f"{'F' if act.name in _DOWN else 'R'}(n{node})")
            (down.add if act.name in _DOWN else down.discard)(node)
    if rows:
        yield from _set(number, live, rows, header_row=not wrote)
    elif not wrote:
        raise _nothing()


testset.__test__ = False  # type: ignore[attr-defined]  # for pytest: no test, in spite of its name


def _live(nodes: list[int], down: set[int]) -> str:
    return f'"[{", ".join(f"n{node}" for node in nodes if node not in down)}]"'


def _set(number: int, live: str, rows: list[str], *, header_row: bool) -> Iterator[str]:
    if header_row:
        yield "Set Number,Transactions,Live Nodes\n"
    yield f"{number},{rows[0]},{live}\n"
    yield from (f",{row},\n" for row in rows[1:])
