"""A bank of local workers: started, waited for, killed, paused, stopped. For runbank, benches and tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from consensus.client.errors import OperatorError
from consensus.client.operator import Operator
from consensus.cluster import ports
from consensus.cluster.folder import DataFolder
from consensus.cluster.process import Child
from consensus.topology import Node, Topology
from consensus.types import ClusterId, NodeId, majority

SECRET_VARIABLE: Final = "PAXOS_BANK_SECRET"
PROJECT: Final = Path(__file__).resolve().parents[2]

READY_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 5.0
_PROBE_EVERY_S: Final = 0.1
_PROBE_TIMEOUT_S: Final = 2.0

Status = dict[str, Any]
Probe = Callable[[Node, str], Awaitable[Status]]
"""Asks a node for its status; raises OSError or TimeoutError while it cannot answer."""
Command = Callable[[Node, Path, Path, bool], Sequence[str]]
"""(node, topology file, data folder, bootstrap) → the command line of its worker."""


class StartError(RuntimeError):
    """The bank did not come up; the text names the node and shows the end of its log."""


async def probe_status(node: Node, secret: str) -> Status:
    """Ask a node for its status over an operator connection."""
    async with Operator(node.host, node.port, secret, name="launcher") as operator:
        try:
            status: Status = await operator.call("status", timeout_s=_PROBE_TIMEOUT_S)
        except OperatorError as error:
            raise ConnectionRefusedError(str(error)) from error
        return status


class LocalBank:
    """Every node of ``topology`` that has an address of this machine, as processes under ``data_dir``.

    ``kill``, ``restart``, ``pause`` and ``resume`` act at once; ``wait_ready`` waits until each cluster has a
    leader again. Nodes that end by themselves stay down: :class:`~consensus.cluster.supervisor.Supervisor`
    is who starts them again. All workers end with the thread that started them.

    Args:
        topology: the bank; its ports must be free.
        data_dir: the data folder, made where missing, locked while the bank runs.
        control_url: websocket address of the site that the workers report to, if any.
        progress: called with a line of text when something takes its time.
        command: the worker's command line, to put another program in its place.
        probe: how to ask a node for its status.
    """

    def __init__(
        self,
        topology: Topology,
        data_dir: str | Path,
        *,
        control_url: str | None = None,
        progress: Callable[[str], None] | None = None,
        environment: Mapping[str, str] | None = None,
        command: Command | None = None,
        probe: Probe = probe_status,
    ) -> None:
        self.topology = topology
        self.folder = DataFolder(data_dir)
        self.data_dir = self.folder.path
        self.secret = ""
        self.children: dict[NodeId, Child] = {}
        self._control_url = control_url
        self._progress = progress or (lambda _: None)
        self._environment = dict(os.environ if environment is None else environment)
        self._command = command or self._worker_command
        self._probe = probe

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Prepare the folder, start every local node, wait until each cluster has a leader.

        Raises:
            FolderError: the data folder cannot be used.
            PortBusyError: something listens on a node's port.
            StartError: a worker ended, or a cluster found no leader in time. Everything is stopped again.
        """
        self.prepare()
        try:
            self.spawn_all()
            await self.wait_ready(timeout_s=timeout_s)
        except BaseException:
            await self.stop()
            raise

    def prepare(self) -> None:
        """Lock and fill the data folder, check the ports; starts nothing."""
        self.folder.open()
        try:
            self.folder.store_topology(self.topology)
            self.note_created()
            self.secret = self._environment.get(SECRET_VARIABLE) or self.folder.secret()
            for node in self.local_nodes():
                ports.require_free(node.host, node.port)
        except BaseException:
            self.folder.close()
            raise

    def note_created(self) -> set[NodeId]:
        """Remember every node that has begun an incarnation, and return the local ones that have not yet.

        A worker makes an incarnation's folder complete and durable before it gives it that name.
        """
        local = {node.id for node in self.local_nodes()}
        for node_id in local:
            if any((self.data_dir / f"node-{node_id}").glob("incarnation-*")):
                self.folder.add_created(node_id)
        return local - self.folder.created()

    def local_nodes(self) -> list[Node]:
        """The nodes of the topology whose host is this machine."""
        local = {host: ports.is_local(host) for host in {node.host for node in self.topology.nodes.values()}}
        return [node for node in self.topology.nodes.values() if local[node.host]]

    def spawn_all(self) -> None:
        """Start a process per local node. A node never started in this folder may bootstrap."""
        nodes = self.local_nodes()
        self._progress(f"starting {len(nodes)} nodes")
        for node in nodes:
            self.spawn(node.id)

    def spawn(self, node_id: NodeId) -> None:
        """Start the process of one node.

        Raises:
            OSError: its log cannot be opened, or the system has no room for a process.
        """
        node = self.topology.nodes[node_id]
        bootstrap = node_id not in self.folder.created()
        child = self.children.get(node_id)
        if child is None:
            name = f"node-{node_id}"
            child = Child(name, (), env={}, cwd=PROJECT, log_path=self.folder.log_path(name))
            self.children[node_id] = child
        child.command = list(self._command(node, self.folder.topology_path, self.data_dir, bootstrap))
        child.env = {**self._environment, SECRET_VARIABLE: self.secret}
        child.spawn()

    def _worker_command(self, node: Node, config: Path, data: Path, bootstrap: bool) -> list[str]:
        command = [sys.executable, "-m", "consensus.node"]
        command += ["--node", str(node.id), "--config", str(config), "--data", str(data)]
        if self._control_url:
            command += ["--control", self._control_url]
        if bootstrap:
            command.append("--bootstrap")
        return command

    # --- waiting ------------------------------------------------------------

    async def wait_ready(
        self, timeout_s: float = READY_TIMEOUT_S, *, clusters: Iterable[ClusterId] | None = None
    ) -> None:
        """Wait until every running node answers and each cluster (or each of ``clusters``) has a leader.

        Raises:
            StartError: a node that was running has ended, or time is up.
        """
        wanted = set(self.topology.cluster_by_id if clusters is None else clusters)
        expected = {node for node, child in self.children.items() if child.running and not child.paused}
        deadline = time.monotonic() + timeout_s
        shown = ""
        while True:
            for node in expected:
                self._require_alive(node)
            statuses = await self.statuses(expected)
            led = self.led_clusters(statuses)
            waiting = {node for node in expected if node not in statuses}
            if not waiting and wanted <= led:
                self.note_created()
                return
            text = (
                f"{len(statuses)} of {len(expected)} nodes answer, "
                f"{len(led)} of {len(wanted)} clusters have a leader"
            )
            if text != shown:
                self._progress(text)
                shown = text
            if time.monotonic() > deadline:
                raise StartError(self._not_ready(timeout_s, waiting, wanted - led))
            await asyncio.sleep(_PROBE_EVERY_S)

    async def statuses(self, nodes: Iterable[NodeId] | None = None) -> dict[NodeId, Status]:
        """Status of each node that answers."""
        asked = list(self.children if nodes is None else nodes)
        answers = await asyncio.gather(*(self._ask(node) for node in asked))
        return {node: answer for node, answer in zip(asked, answers, strict=True) if answer is not None}

    def led_clusters(self, statuses: Mapping[NodeId, Status]) -> set[ClusterId]:
        """The clusters of which one of these nodes leads and has taken over all of its log."""
        return {
            self.topology.cluster_by_node[node].id
            for node, status in statuses.items()
            if status.get("role") == "leader" and status.get("established", True)
        }

    def local_clusters(self) -> set[ClusterId]:
        """The clusters that have a majority of their nodes here."""
        return {
            cluster.id
            for cluster in self.topology.clusters
            if sum(node in self.children for node in cluster.members) >= majority(len(cluster.members))
        }

    async def _ask(self, node_id: NodeId) -> Status | None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                return await self._probe(self.topology.nodes[node_id], self.secret)
        return None

    def _require_alive(self, node_id: NodeId) -> None:
        child = self.children[node_id]
        if not child.running:
            end = f"node {node_id} {child.describe_end()}"
            raise StartError(f"{end}; the end of {child.log_path}:\n{child.tail()}")

    def _not_ready(self, timeout_s: float, silent: set[NodeId], leaderless: set[int]) -> str:
        parts = [f"not ready after {timeout_s:g} s"]
        if silent:
            parts.append(f"nodes {sorted(silent)} do not answer")
        if leaderless:
            parts.append(f"clusters {sorted(leaderless)} have no leader")
        return f"{'; '.join(parts)}; see {self.data_dir / 'logs'}"

    # --- steering -----------------------------------------------------------

    def kill(self, node_id: NodeId) -> None:
        """``kill -9``. Returns when the process is gone."""
        self._child(node_id).kill()

    def restart(self, node_id: NodeId) -> None:
        """Start the node's process again, after killing one that still runs; does not wait for an answer."""
        self._child(node_id).kill()
        self.spawn(node_id)

    def pause(self, node_id: NodeId) -> None:
        """SIGSTOP: the node stands still, its connections stay open."""
        self._child(node_id).pause()

    def resume(self, node_id: NodeId) -> None:
        """SIGCONT."""
        self._child(node_id).resume()

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop every worker, gently first, and give the folder free."""
        await asyncio.gather(*(child.stop(timeout_s) for child in self.children.values()))
        self.folder.close()

    def _child(self, node_id: NodeId) -> Child:
        child = self.children.get(node_id)
        if child is None:
            raise KeyError(f"node {node_id} was not started here; there are {sorted(self.children)}")
        return child
