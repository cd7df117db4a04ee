"""What people do to nodes and links. Every action is done, then logged, then told to the pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from bankweb.identity import audit
from bankweb.orchestration import faults, processes
from bankweb.orchestration.faults import LinkFault
from bankweb.orchestration.hub import hub
from bankweb.orchestration.nodes import ACTIONS, state_of
from bankweb.rest.problems import Problem
from consensus.types import NodeId

RESET_DEADLINE_S: Final = 10.0
_PAST: Final = {
    "fail": "acts disconnected from peers and clients",
    "recover": "takes part again",
    "kill": "is killed and stays down until restart",
    "restart": "is being started",
    "pause": "is paused",
    "resume": "runs on",
}
_EVENTS: Final = {"pause": "node.pause", "resume": "node.up"}
"""A stopped process cannot tell that it was stopped; the site does."""


async def act_on_node(actor: str, node: NodeId, action: str) -> str:
    """Fail, recover, kill, restart, pause or resume a node; returns what happened, as a sentence.

    Raises:
        Problem: no such node or action (404), or it could not be done (409, 503).
    """
    if node not in hub().nodes:
        raise Problem("not_found", f"there is no node {node}")
    if action not in ACTIONS:
        raise Problem("not_found", f"a node cannot be told to {action}; known: {', '.join(ACTIONS)}")
    doing = processes.act(action, node) if action in processes.OPERATIONS else hub().call(node, action)
    await _logged(actor, action, {"node": node}, doing)
    if action in ("kill", "restart"):
        faults.forget_links(node)
    if action in ("fail", "recover"):
        # The next report says the same; pages drawn until then should, too.
        hub().nodes[node].status |= {"state": "failed" if action == "fail" else "up"}
    if action in _EVENTS:
        hub().happened({"k": _EVENTS[action], "n": node})
    return f"Node {node} {_PAST[action]}."


async def set_link(actor: str, wanted: list[LinkFault]) -> str:
    """Cut, delay, lose on links, or end that.

    Raises:
        Problem: a node could not be told (503).
    """
    args = {"links": [fault._asdict() for fault in wanted]}
    await _logged(actor, "link", args, _set_links(wanted))
    return f"{'; '.join(fault.sentence() for fault in wanted)}.".capitalize()


async def _set_links(wanted: list[LinkFault]) -> None:
    for fault in wanted:
        await hub().call(
            fault.source, "link", to=fault.target, cut=fault.cut, delay_ms=fault.delay_ms, loss=fault.loss
        )
        faults.note_link(fault)
        hub().happened(_link_event(fault))


def _link_event(fault: LinkFault) -> dict[str, Any]:
    if fault.is_none:
        return {"k": "link.heal", "a": fault.source, "b": fault.target}
    loss = 1.0 if fault.cut else fault.loss
    return {"k": "link.cut", "a": fault.source, "b": fault.target, "delay": fault.delay_ms, "loss": loss}


async def heal(actor: str) -> str:
    """End every fault: links healed, failed nodes recovered, paused ones resumed, killed ones restarted.

    Raises:
        Problem: something could not be healed (503); the rest was.
    """
    await processes.refresh()
    await _logged(actor, "heal", {}, _heal())
    return "Every fault is healed."


async def _heal() -> None:
    work: list[Awaitable[Any]] = []
    for node in hub().nodes:
        state = state_of(node)
        if state in ("paused", "killed"):
            work.append(_wake(node, "resume" if state == "paused" else "restart"))
        elif state != "down":
            work.append(_heal_node(node, is_failed=state == "failed"))
    healed = [_link_event(fault._replace(cut=False, delay_ms=0, loss=0)) for fault in faults.links()]
    results = await asyncio.gather(*work, return_exceptions=True)
    failures = [str(result) for result in results if isinstance(result, BaseException)]
    if failures:
        raise Problem("unavailable", "; ".join(failures))
    faults.forget_links()
    for event in healed:
        hub().happened(event)


async def _wake(node: NodeId, operation: str) -> None:
    await processes.act(operation, node)
    if operation in _EVENTS:
        hub().happened({"k": _EVENTS[operation], "n": node})


async def _heal_node(node: NodeId, *, is_failed: bool) -> None:
    await hub().call(node, "heal")
    if is_failed:
        await hub().call(node, "recover")
        hub().nodes[node].status |= {"state": "up"}


async def reset(actor: str) -> str:
    """Begin a new incarnation: every account has its initial balance, logs and sessions are empty.

    Done when every running node confirmed. A killed one joins when it comes back.

    Raises:
        Problem: a running node did not confirm in time (503); it joins as soon as it hears of it.
    """
    await processes.refresh()
    known = [int(view.status.get("incarnation") or 0) for view in hub().nodes.values()]
    incarnation = max(known, default=0) + 1
    await _logged(actor, "reset", {"incarnation": incarnation}, _reset(incarnation))
    return f"The bank begins anew (incarnation {incarnation})."


async def _reset(incarnation: int) -> None:
    running = [node for node in hub().connected() if state_of(node) != "paused"]
    if not running:
        raise Problem("unavailable", "no node is connected to the site, so there is nothing to reset")
    calls = (
        hub().call(node, "reset", deadline_s=RESET_DEADLINE_S, incarnation=incarnation) for node in running
    )
    results = await asyncio.gather(*calls, return_exceptions=True)
    failures = [str(result) for result in results if isinstance(result, BaseException)]
    for node, result in zip(running, results, strict=True):
        if not isinstance(result, BaseException):
            hub().nodes[node].status |= {"incarnation": incarnation}
    if failures:
        raise Problem("unavailable", f"the reset is not complete: {'; '.join(failures)}")


async def reset_counters(actor: str) -> str:
    """Set the counters of every node that is connected to zero.

    Raises:
        Problem: one did not confirm (503).
    """
    await processes.refresh()
    nodes = [node for node in hub().connected() if state_of(node) != "paused"]
    calls = (hub().call(node, "counters", reset=True) for node in nodes)
    await _logged(actor, "reset-counters", {"nodes": nodes}, asyncio.gather(*calls))
    return f"The counters of {len(nodes)} nodes are at zero."


async def _logged(actor: str, command: str, arguments: dict[str, Any], doing: Awaitable[Any]) -> None:
    """Await ``doing``, then log who did it and how it ended, and tell the pages."""
    result = "ok"
    try:
        await doing
    except Problem as problem:
        result = problem.detail
        raise
    finally:
        hub().happened({"k": "ctl", "actor": actor, "cmd": command, "args": arguments, "result": result})
        await audit.record(actor, command, arguments, result)
