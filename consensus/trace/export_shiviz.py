r"""A stretch of a recording as a ShiViz log: two lines an event, with its vector clock.

Read by ShiViz's default expression, ``(?<event>.*)\n(?<host>\S*) (?<clock>{.*})``. Hosts are the nodes and
``site``. Clocks come from the messages that were recorded: a reception is after its sending, whatever the
clocks of the two nodes said; without messages in the recording hosts stand side by side.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

from consensus.trace.draft import State
from consensus.trace.events import TraceError, TraceEvent
from consensus.trace.narrate import narrate

EVENTS_MAX: Final = 50_000
"""ShiViz draws every event; a browser takes no more, and they are held here at once."""
_COUNTED: Final = frozenset(("agg", "gap", "ambient", "check"))
"""No event of a host."""


def export(header: dict[str, Any], state: State, events: Iterable[TraceEvent]) -> Iterator[str]:
    """The log.

    Raises:
        TraceError: there are no events, or too many for ShiViz.
    """
    taken = [event for event in events if event["k"] not in _COUNTED]
    if not taken:
        raise TraceError("no event of a node in this stretch")
    if len(taken) > EVENTS_MAX:
        raise TraceError(f"{len(taken)} events are too many for ShiViz; narrow it down to {EVENTS_MAX}")
    clocks: dict[str, dict[str, int]] = defaultdict(dict)
    sent: dict[str, dict[str, int]] = {}
    for event in causally(taken):
        host = host_of(event)
        clock = clocks[host]
        if event["k"] == "msg.recv":
            for other, count in sent.get(_message(event), {}).items():
                clock[other] = max(clock.get(other, 0), count)
        clock[host] = clock.get(host, 0) + 1
        if event["k"] == "msg.send":
            sent[_message(event)] = dict(clock)
        words = " ".join((narrate(event) or _plain(event)).split())
        yield f"{words}\n{host} {json.dumps(clock)}\n"


def host_of(event: TraceEvent) -> str:
    """Where an event happened; messages name their sender, but one is received at the other end."""
    node = event["to"] if event["k"] == "msg.recv" else event.get("n", 0)
    return f"n{node}" if node else "site"


def causally(events: list[TraceEvent]) -> Iterator[TraceEvent]:
    """The events, each host's in their order, and none received before it was sent."""
    queues: dict[str, deque[TraceEvent]] = defaultdict(deque)
    for event in events:
        queues[host_of(event)].append(event)
    unsent = {_message(event) for event in events if event["k"] == "msg.send"}
    while queues:
        ready = [name for name, queue in queues.items() if not _waits(queue[0], unsent)]
        # Two that wait for each other were recorded out of order: the earlier one goes first.
        name = min(ready or queues, key=lambda name: (queues[name][0]["ts"], queues[name][0]["q"]))
        event = queues[name].popleft()
        if event["k"] == "msg.send":
            unsent.discard(_message(event))
        yield event
        if not queues[name]:
            del queues[name]


def _waits(event: TraceEvent, unsent: set[str]) -> bool:
    return event["k"] == "msg.recv" and _message(event) in unsent


def _message(event: TraceEvent) -> str:
    """One message; one about several kept transactions is told once for each."""
    return f"{event['mid']} {event.get('tx', '')}"


def _plain(event: TraceEvent) -> str:
    parts = [event["k"]]
    parts += [f"{name} {event[name]}" for name in ("m", "name", "s", "tx") if name in event]
    return " ".join(parts)
