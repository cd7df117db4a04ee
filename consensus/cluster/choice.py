"""Which topology a local bank gets: the one it has, the one in a file, or one of the sizes asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from consensus import topology_file
from consensus.cluster import ports
from consensus.cluster.folder import DataFolder, FolderError
from consensus.cluster.launcher import PROJECT
from consensus.topology import Topology

DEFAULT_FILE = PROJECT / "config" / "nodes.yaml"


class Sizes(NamedTuple):
    """Sizes asked for; None where nothing was said."""

    clusters: int | None = None
    nodes: int | None = None
    accounts: int | None = None
    balance: int | None = None


def choose(
    folder: DataFolder, config: Path | None, sizes: Sizes, told: Callable[[str], None] = lambda _: None
) -> Topology:
    """The topology to start the bank in ``folder`` with.

    A bank keeps the sizes it was made with. Its ports are nobody's business unless they come from a file
    that was named: busy ones are exchanged for free ones, so that two banks run side by side.

    Raises:
        topology_file.TopologyError: the file or the sizes are not usable.
        FolderError: the bank in the folder has other sizes.
        PortBusyError: a port of the named file is busy.
    """
    if config is not None:
        if any(size is not None for size in sizes):
            raise topology_file.TopologyError("--config says all sizes; leave the other options out")
        topology = topology_file.load(config)
        for node in topology.nodes.values():
            if ports.is_local(node.host):
                ports.require_free(node.host, node.port)
        return topology
    stored = folder.stored_topology() if folder.created() else None
    if stored is not None:
        _require_same(folder, stored, sizes)
        return _with_free_ports(stored, told)
    if any(size is not None for size in sizes):
        given = {name: size for name, size in sizes._asdict().items() if size is not None}
        return _with_free_ports(topology_file.generate(**given), told)
    default = topology_file.load(DEFAULT_FILE) if DEFAULT_FILE.exists() else topology_file.generate()
    return _with_free_ports(default, told)


def _require_same(folder: DataFolder, stored: Topology, sizes: Sizes) -> None:
    has = Sizes(len(stored.clusters), len(stored.clusters[0].nodes), stored.accounts, stored.initial_balance)
    for name, wanted, actual in zip(Sizes._fields, sizes, has, strict=True):
        if wanted is not None and wanted != actual:
            raise FolderError(
                f"--{name}: the bank in {folder.path} was made with {actual}, not {wanted}; "
                "leave the option out to start it, or choose another data folder"
            )


def _with_free_ports(topology: Topology, told: Callable[[str], None]) -> Topology:
    nodes = topology.nodes.values()
    try:
        for node in nodes:
            if ports.is_local(node.host):
                ports.require_free(node.host, node.port)
                # Two banks that start at once both find it free.
                if not ports.claim(node.port):
                    raise ports.PortBusyError(f"port {node.port} is that of another bank that starts")
    except ports.PortBusyError as error:
        hosts = {node.host for node in nodes}
        if len(hosts) > 1:
            raise
        told(f"{error}; the nodes take other ports")
        return topology_file.with_ports(topology, ports.free_ports(len(nodes), hosts.pop()))
    return topology
