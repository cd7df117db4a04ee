"""The live hub: what workers tell, in one order, folded into one state and sent to every browser.

Frames of ``/ws/live/``, JSON text, site to browser:

* ``{"type":"key","q":int,"run":str,"state":{…}}``: first, and after each gap, reset or overflow. ``state``
  is the fold of everything up to order number ``q``; the next frame goes on right after it.
* ``{"type":"frame","f":int,"events":[…],"dropped":int}``: at most 20 a second, the same bytes to
  every browser; ``f`` counts frames of this run, ``dropped`` the events left out since the frame before,
  by workers or here. A frame without events is sent once a second, so that silence is told from loss.
* ``{"type":"gap","from":int,"to":int}``: this browser was too slow, and the events with order numbers
  ``from``..``to`` were not sent to it. A key follows.

Browser to site:

* ``{"type":"ack","f":int}``: frames up to ``f`` are taken in. Send one for each frame (or each tenth).
  From the first ack on, at most ``FRAMES_AHEAD_MAX`` unacknowledged frames are under way; newer
  ones wait, and when more than ``QUEUE_FRAMES_MAX`` wait they are given up: gap, then key.
* ``{"type":"watch","level":1|2}``: 2 asks the workers for single messages (``msg.*``) as well.

Close codes: 4401 not signed in, 4400 not one of these messages.

Events are those of :mod:`consensus.trace.events`. Status of nodes travels as ``agg`` events of node 0
(``nodes`` only), at most one a tick, holding the nodes whose status changed; ``node.up`` and
``node.down`` without ``inc`` come from the site, when a worker's control connection opens or ends;
``ctl`` tells what people did here (actor, cmd, args, result).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from typing import Any, Final

import msgspec

from bankweb.observatory import checks, recordings
from bankweb.observatory.recordings import AlwaysOn
from bankweb.orchestration.bank import topology
from bankweb.orchestration.clocks import clocks
from bankweb.orchestration.hub import IDLE_HZ, LIVE_HZ, hub
from consensus.trace import events, fold
from consensus.trace.causes import Causes
from consensus.trace.recorder import lines_of
from consensus.types import NodeId

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode

TICK_S: Final = 1 / 20
EVENTS_PER_FRAME_MAX: Final = 1_000
"""What comes beyond this in one tick is left out and counted; of what matters most twice as much gets in."""
QUIET_S: Final = 1.0
"""After so long without an event an empty frame says that the line is alive."""
QUEUE_FRAMES_MAX: Final = 40
FRAMES_AHEAD_MAX: Final = 40


class Browser:
    """What waits for one browser. Filled by the hub's tick, emptied by its consumer."""

    def __init__(self, live: LiveHub) -> None:
        self.level = 1
        self._live = live
        self._frames: deque[tuple[int, int, int, bytes]] = deque()
        """Frame number, first and last order number in it, bytes."""
        self._ready = asyncio.Event()
        self._ready.set()
        self._wants_key = True
        self._gap: tuple[int, int] | None = None
        self._sent = 0
        self._acked: int | None = None

    def offer(self, number: int, first: int, last: int, frame: bytes) -> None:
        """Queue a frame, or give up all that wait when this browser does not keep up."""
        if self._wants_key:
            if self._gap is not None:
                self._gap = (self._gap[0], max(self._gap[1], last))
            return
        self._frames.append((number, first, last, frame))
        if len(self._frames) > QUEUE_FRAMES_MAX:
            self._gap = (self._frames[0][1], last)
            self._frames.clear()
            self._wants_key = True
        self._ready.set()

    def ack(self, number: int) -> None:
        """The browser has taken in the frames up to ``number``."""
        self._acked = max(self._acked or 0, min(number, self._sent))
        self._ready.set()

    @property
    def _has_room(self) -> bool:
        return self._acked is None or self._sent - self._acked < FRAMES_AHEAD_MAX

    async def next(self) -> list[bytes]:
        """The next frames to send; waits until there are some and the browser keeps up."""
        while True:
            self._ready.clear()
            if self._has_room:
                if self._wants_key:
                    return self._key()
                if self._frames:
                    number, _, _, frame = self._frames.popleft()
                    self._sent = number
                    return [frame]
            await self._ready.wait()

    def _key(self) -> list[bytes]:
        gap, self._gap = self._gap, None
        self._wants_key = False
        self._sent = self._live.frame_number
        if self._acked is not None:
            # What was given up will never be acknowledged; counting goes on from the key.
            self._acked = self._sent
        told = [] if gap is None else [_encode({"type": "gap", "from": gap[0], "to": gap[1]})]
        return [*told, self._live.key()]


class LiveHub:
    """The one order of events of this process. A :class:`bankweb.orchestration.hub.Listener`."""

    def __init__(self) -> None:
        self.run = f"live-{secrets.token_hex(8)}"
        self.frame_number = 0
        self._numbering = events.Numbering()
        self._causes = Causes()
        plain = events.plain_topology(topology().clusters)
        self.header = events.header(run=self.run, source="live", t0=now_us(), topology=plain)
        self.state = fold.begin(self.header)
        self.recording: AlwaysOn | None = None
        self._buffer: list[dict[str, Any]] = []
        self._dropped = 0
        self._statuses: dict[NodeId, dict[str, Any]] = {}
        self._shown: dict[NodeId, dict[str, Any]] = {}
        self._browsers: set[Browser] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._framed_at = 0.0

    async def record(self) -> None:
        """From now on everything goes to disk, too, watched or not."""
        await asyncio.to_thread(recordings.trim_runs)
        self._fold()
        self.recording = AlwaysOn(self.header)
        self.recording.begin(self.state)

    async def close(self) -> None:
        """Write what has not been written yet."""
        recording, self.recording = self.recording, None
        if recording is not None:
            await asyncio.to_thread(recording.close)

    # --- Listener ----------------------------------------------------------

    def heard(
        self, node: NodeId, status: dict[str, Any], reported: list[dict[str, Any]], dropped: int
    ) -> None:
        self._dropped += dropped
        for event in reported:
            if event.get("k") == "agg" and (reading := clocks().reading(node)) is not None:
                # Of all events of the node; a window a tenth of a second says it often enough.
                event["err"] = reading.error_us
            self._add(event)
        self._statuses[node] = status
        if not self._browsers:
            self._fold()

    def came(self, node: NodeId) -> None:
        self.happened({"k": "node.up", "n": node})

    def went(self, node: NodeId) -> None:
        self._shown.pop(node, None)
        self.happened({"k": "node.down", "n": node, "why": "its control connection ended"})

    def happened(self, event: dict[str, Any]) -> None:
        self._add({"ts": now_us(), **event})
        if not self._browsers:
            self._fold()

    def _add(self, event: dict[str, Any]) -> None:
        if len(self._buffer) < EVENTS_PER_FRAME_MAX or (
            _is_dear(event) and len(self._buffer) < 2 * EVENTS_PER_FRAME_MAX
        ):
            self._buffer.append(event)
        else:
            self._dropped += 1

    # --- folding -----------------------------------------------------------

    def _fold(self) -> tuple[int, bytes]:
        """Number what waits, fold and record it; how many events there were, and they as lines of JSON."""
        waiting, self._buffer = self._buffer, []
        waiting += self._status_events()
        numbered = [self._numbering.number(event) for event in waiting]
        for event in numbered:
            self._causes.link(event)
        try:
            self.state = fold.fold_all(self.state, numbered)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            _log.warning("an event is not of the schema: %r; what came with it is checked one by one", error)
            numbered = self._fold_singly(numbered)
        lines = lines_of(numbered)
        if self.recording is not None:
            self.recording.offer(numbered, lines, self.state)
        return len(numbered), lines

    def _fold_singly(self, numbered: list[dict[str, Any]]) -> list[dict[str, Any]]:
        good = []
        for event in numbered:
            found = events.problems(event)
            if found:
                self._dropped += 1
                _log.warning("left out: %s", "; ".join(found)[:200])
                continue
            self.state = fold.fold(self.state, event)
            good.append(event)
        return good

    def _status_events(self) -> list[dict[str, Any]]:
        """One ``agg`` event for the nodes whose status changed, per incarnation they live in."""
        changed: dict[int, dict[str, Any]] = {}
        for node, status in self._statuses.items():
            shown = {name: status[name] for name in events.NODE_STATUS if name in status}
            if shown != self._shown.get(node):
                self._shown[node] = shown
                changed.setdefault(int(status.get("incarnation") or 0), {})[str(node)] = shown
        self._statuses.clear()
        window = round(TICK_S * 1e3)
        return [
            {"k": "agg", "n": 0, "ts": now_us(), "inc": incarnation, "window": window, "nodes": nodes}
            for incarnation, nodes in sorted(changed.items())
        ]

    def key(self) -> bytes:
        """The keyframe of now."""
        return _encode({"type": "key", "q": self.state["q"], "run": self.run, "state": self.state})

    # --- browsers ----------------------------------------------------------

    def join(self) -> Browser:
        """A browser is there: workers are asked for more, and frames begin to be made."""
        self._fold()
        browser = Browser(self)
        self._browsers.add(browser)
        self.ask_workers()
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().create_task(self._tick_on(), name="live tick")
            self._checker = asyncio.get_running_loop().create_task(checks.watch(), name="live checks")
        return browser

    def leave(self, browser: Browser) -> None:
        """It is gone; without any, workers are asked for status only."""
        self._browsers.discard(browser)
        self.ask_workers()
        if not self._browsers and self._ticker is not None:
            self._ticker.cancel()
            self._checker.cancel()
            self._ticker = None
            self._fold()

    def ask_workers(self) -> None:
        """Ask workers for as much as the most curious browser wants."""
        if self._browsers:
            hub().watch(LIVE_HZ, max(browser.level for browser in self._browsers))
        else:
            hub().watch(IDLE_HZ, 0)

    async def _tick_on(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            # Late ticks are not made up for: that would send in a burst what was late already.
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())
            self.tick()

    def tick(self) -> None:
        """Make a frame of what came since the last, and hand it to every browser."""
        first = self._numbering.last + 1
        count, lines = self._fold()
        dropped, self._dropped = self._dropped, 0
        now = time.monotonic()
        if not count and not dropped and now - self._framed_at < QUIET_S:
            return
        self._framed_at = now
        self.frame_number += 1
        # Encoded once, for the recording and for every browser: within JSON no line ends.
        inner = lines.rstrip().replace(b"\n", b",")
        head = b'{"type":"frame","f":%d,"events":[' % self.frame_number
        frame = b'%b%b],"dropped":%d}' % (head, inner, dropped)
        for browser in self._browsers:
            browser.offer(self.frame_number, first, self._numbering.last, frame)


_DEAR: Final = frozenset(("agg", "map.epoch", "map.moved", "mig.start", "mig.flip"))
"""Exact counts; and who owns what, which nothing that comes later tells again."""


def _is_dear(event: dict[str, Any]) -> bool:
    """These, and what people are told in words, go before single slots and messages."""
    kind = events.KINDS.get(event.get("k", ""))
    return kind is not None and (kind.notable or event["k"] in _DEAR)


def now_us() -> int:
    """UTC, microseconds: the clock of traces."""
    return time.time_ns() // 1_000


_live: LiveHub | None = None


def live() -> LiveHub:
    """The live hub of this process, listening to its worker hub."""
    global _live  # noqa: PLW0603  (one per process)
    if _live is None:
        _live = LiveHub()
        hub().listeners.append(_live)
    return _live


def forget() -> None:
    """Drop it; the next use makes another. For tests."""
    global _live  # noqa: PLW0603
    _live = None
