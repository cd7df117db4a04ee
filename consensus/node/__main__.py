"""``python -m consensus.node --node 1 --config FILE --data DIR``: runs one node until it is told to stop.

The cluster secret comes from the environment variable ``PAXOS_BANK_SECRET``. Exit status: 0 asked to stop,
2 wrong configuration, 3 the disk failed, 1 anything else. What ends it is said in one plain line on stderr;
all else there is JSON logs.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from consensus import topology_file
from consensus.net import control
from consensus.net.redial import Target
from consensus.node import logs
from consensus.node.runtime import EXIT_DISK, Node
from consensus.storage.broken import NEMESIS_VARIABLE, BreakableFiles
from consensus.storage.errors import FolderInUse, StorageError
from consensus.storage.files import Files
from consensus.storage.folder import NodeFolder
from consensus.types import Ballot, NodeId

if TYPE_CHECKING:
    from consensus.topology import Topology

SECRET_VARIABLE = "PAXOS_BANK_SECRET"
"""Set for banks that are started to be broken: only their disks and clocks can be tampered with."""
EXIT_OTHER = 1
EXIT_CONFIG = 2
SWITCH_INTERVAL_S = 0.001
"""How long the loop may keep the interpreter from the journal's thread when both want it."""

_log = logging.getLogger("consensus.node")


class ConfigError(Exception):
    """The node cannot be what it is told to be; the text says why, in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a node; returns the exit status."""
    args = _parse(arguments)
    try:
        topology, secret, site = _configuration(args)
    except ConfigError as error:
        return _end(EXIT_CONFIG, str(error))
    logs.configure(args.node, args.log_level)
    import uvloop

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        return uvloop.run(_run(args.node, topology, Path(args.data), args.bootstrap, secret, site))
    except FolderInUse as error:
        return _end(EXIT_OTHER, str(error))
    except StorageError as error:
        return _end(EXIT_DISK, str(error))
    except OSError as error:
        address = topology.nodes[args.node]
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        return _end(EXIT_OTHER, f"node {args.node} cannot listen on {address.host}:{address.port}: {reason}")


async def _run(
    me: NodeId, topology: Topology, data: Path, bootstrap: bool, secret: str, site: Target | None
) -> int:
    import asyncio

    first = Ballot(1, topology.cluster_by_node[me].first_leader)
    files = BreakableFiles() if os.environ.get(NEMESIS_VARIABLE) else Files()
    folder = NodeFolder(data, me, first, topology.limits.segment_bytes, files)
    try:
        node = Node(me, topology, folder, bootstrap, secret, site)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, node.stop)
        return await node.run()
    finally:
        folder.close()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m consensus.node", description="Run one node of the bank.")
    parser.add_argument("--node", type=int, required=True, help="which node of the topology")
    parser.add_argument("--config", required=True, metavar="FILE", help="the topology (YAML)")
    parser.add_argument("--data", required=True, metavar="DIR", help="data folder of the bank")
    parser.add_argument("--control", metavar="URL", help="ws://host:port/ws/worker/ of the site")
    parser.add_argument("--bootstrap", action="store_true", help="an empty folder may begin a new bank")
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return parser.parse_args(arguments)


def _configuration(args: argparse.Namespace) -> tuple[Topology, str, Target | None]:
    try:
        topology = topology_file.load(Path(args.config))
    except topology_file.TopologyError as error:
        raise ConfigError(f"{args.config}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{args.config} cannot be read: {error.strerror}") from error
    if args.node not in topology.nodes:
        known = ", ".join(map(str, topology.nodes))
        raise ConfigError(f"--node {args.node}: {args.config} has the nodes {known}")
    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret:
        raise ConfigError(f"the environment variable {SECRET_VARIABLE} (the cluster secret) is not set")
    try:
        site = None if args.control is None else control.parse_url(args.control)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return topology, secret, site


def _end(status: int, reason: str) -> int:
    sys.stderr.write(reason.replace("\n", " ") + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
