"""The parent of a whole local bank: its workers and, beside them, the site.

The bank outlives the site and each of its nodes: whatever ends unasked is started again
(:mod:`~consensus.cluster.charge`). Pages and scripts steer it over ``supervisor.sock``
(:mod:`~consensus.cluster.steering`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from consensus.cluster import steering
from consensus.cluster.charge import CONFIG_ERROR, Charge
from consensus.cluster.folder import FolderError
from consensus.cluster.launcher import PROJECT, READY_TIMEOUT_S, LocalBank, StartError
from consensus.cluster.process import Child
from consensus.types import NodeId

DISK_FAILURE: Final = 3
PREPARE_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.1
_NOTE_S: Final = 0.5
_FRESH_TRIES: Final = 2
"""Starts again that a node of a new bank gets before the whole start is given up."""
_STOP_SITE_S: Final = 5.0

Told = Callable[[str], None]


class Site:
    """The site as processes: what runs once before each start, what runs on, how to see that it answers.

    Args:
        prepare: command lines run to their end, one after the other, such as database migrations.
        command: the server's command line.
        environment: the environment of all of them.
        answers: tells whether the server answers requests by now.
    """

    def __init__(
        self,
        prepare: Sequence[Sequence[str]],
        command: Sequence[str],
        environment: Mapping[str, str],
        answers: Callable[[], Awaitable[bool]],
    ) -> None:
        self.prepare = [list(line) for line in prepare]
        self.command = list(command)
        self.environment = dict(environment)
        self.answers = answers


class Supervisor:
    """Runs a bank and its site until :meth:`stop`.

    Args:
        bank: made with its topology and folder, not started.
        site: the site to run beside it, if any.
        told: called with a line of text: progress of the start, and later what ended and why.
    """

    def __init__(self, bank: LocalBank, site: Site | None = None, *, told: Told | None = None) -> None:
        self.bank = bank
        self.charges: dict[NodeId, Charge] = {}
        self.site_charge: Charge | None = None
        self._site = site
        self._told = told or (lambda _: None)
        self._watchers: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._preparing: Child | None = None

    async def start(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Start everything; returns when the bank and the site answer.

        A cluster without a leader after ``timeout_s`` is told and does not stop the start: the site is what
        shows why.

        Raises:
            FolderError: the data folder cannot be used.
            PortBusyError: something listens on a node's port.
            StartError: a worker refused its configuration or its disk, or the site does not come up.
        """
        self.bank.prepare()
        try:
            self._server = await steering.serve(self.bank.folder.socket_path, self.handle)
            self._start_nodes()
            await self._start_site(timeout_s)
            await self._wait_for_leaders(timeout_s)
        except OSError as error:
            await self.stop()
            if isinstance(error, FolderError):
                raise
            raise StartError(f"the bank cannot be started: {error}") from error
        except BaseException:
            await self.stop()
            raise

    def _start_nodes(self) -> None:
        self.bank.spawn_all()
        for node, child in self.bank.children.items():
            charge = Charge(child, lambda node=node: self.bank.spawn(node), self._told)  # type: ignore[misc]
            self.charges[node] = charge
            self._watch(charge)

    def _watch(self, charge: Charge) -> None:
        self._watchers.append(asyncio.create_task(charge.watch(), name=f"watch {charge.child.name}"))

    async def _start_site(self, timeout_s: float) -> None:
        if self._site is None:
            return
        for command in self._site.prepare:
            self._told("preparing the site's database")
            await self._run_to_end(command)
        child = self._site_child(self._site.command)
        self.site_charge = Charge(child, child.spawn, self._told)
        self._told("starting the site")
        child.spawn()
        self._watch(self.site_charge)
        deadline = time.monotonic() + timeout_s
        while not await self._site.answers():
            if not child.running:
                raise StartError(f"the site {child.describe_end()}; {_end_of_log(child)}")
            if time.monotonic() > deadline:
                raise StartError(f"the site does not answer after {timeout_s:g} s; {_end_of_log(child)}")
            await asyncio.sleep(_POLL_S)

    async def _run_to_end(self, command: Sequence[str]) -> None:
        child = self._preparing = self._site_child(command)
        child.spawn()
        try:
            status = await asyncio.wait_for(child.wait(), PREPARE_TIMEOUT_S)
        except TimeoutError:
            child.kill()
            raise StartError(
                f"`{' '.join(command[1:])}` took over {PREPARE_TIMEOUT_S:g} s; {_end_of_log(child)}"
            ) from None
        if status:
            raise StartError(f"`{' '.join(command[1:])}` {child.describe_end()}; {_end_of_log(child)}")

    def _site_child(self, command: Sequence[str]) -> Child:
        assert self._site is not None
        log_path = self.bank.folder.log_path("site")
        return Child("site", command, env=self._site.environment, cwd=PROJECT, log_path=log_path)

    async def _wait_for_leaders(self, timeout_s: float) -> None:
        """Wait until each cluster with a majority here has a leader, and each node its folder."""
        deadline = time.monotonic() + timeout_s
        shown = ""
        while True:
            self._require_willing()
            answers = await self.bank.statuses()
            led = self.bank.led_clusters(answers)
            missing = sorted(self.bank.local_clusters() - led)
            uncreated = self.bank.note_created()
            if not missing and not uncreated:
                return
            if time.monotonic() > deadline:
                if missing:
                    logs = self.bank.data_dir / "logs"
                    self._told(f"clusters {missing} have no leader; the pages and {logs} say why")
                self._watchers.append(asyncio.create_task(self._note_created(), name="note created nodes"))
                return
            text = f"{len(answers)} of {len(self.charges)} nodes answer, no leader yet in clusters {missing}"
            if text != shown:
                self._told(text)
                shown = text
            await asyncio.sleep(_POLL_S)

    async def _note_created(self) -> None:
        """Go on until each node's folder was seen: one that is lost after that must not be made again."""
        while self.bank.note_created():  # noqa: ASYNC110  (a folder sends no event)
            await asyncio.sleep(_NOTE_S)

    def _require_willing(self) -> None:
        """End the start when a worker cannot run at all, instead of starting it again and again."""
        for node, charge in self.charges.items():
            fresh = node not in self.bank.folder.created()
            status = charge.child.exit_status
            hopeless = status == DISK_FAILURE or (status is not None and charge.restarts >= _FRESH_TRIES)
            if status == CONFIG_ERROR or (fresh and hopeless):
                raise StartError(f"node {node} {charge.child.describe_end()}; {_end_of_log(charge.child)}")

    async def stop(self) -> None:
        """Stop the site, then the workers, and give the data folder free."""
        for watcher in self._watchers:
            watcher.cancel()
        for watcher in self._watchers:
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
        self._watchers.clear()
        if self._server is not None:
            self._server.close()
            self._server = None
            self.bank.folder.socket_path.unlink(missing_ok=True)
        for child in (self._preparing, self.site_charge.child if self.site_charge else None):
            if child is not None:
                await child.stop(_STOP_SITE_S)
        await self.bank.stop()

    # --- steering -----------------------------------------------------------

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Act on one request of the steering socket and return the node's (or everyone's) status.

        Raises:
            ValueError: no such operation.
            LookupError: no such node here.
        """
        op = request.get("op")
        if op == "status":
            return self.status()
        acts: dict[str, Callable[[Charge], None]] = {
            "kill": Charge.kill,
            "restart": Charge.restart,
            "pause": lambda charge: charge.child.pause(),
            "resume": lambda charge: charge.child.resume(),
        }
        act = acts.get(op) if isinstance(op, str) else None
        if act is None:
            raise ValueError(f"op: must be one of {', '.join(acts)} or status, not {op!r}")
        node = request.get("node")
        if not isinstance(node, int) or node not in self.charges:
            raise LookupError(f"node: must be one of {sorted(self.charges)}, not {node!r}")
        act(self.charges[node])
        return self.charges[node].status()

    def status(self) -> dict[str, Any]:
        """A JSON-like document: ``nodes`` by number and ``site``, each as in :meth:`Charge.status`."""
        return {
            "nodes": {str(node): charge.status() for node, charge in self.charges.items()},
            "site": None if self.site_charge is None else self.site_charge.status(),
        }


def _end_of_log(child: Child) -> str:
    return f"the end of {child.log_path}:\n{child.tail()}"
