"""A topology as a YAML file: read strictly, check, generate for any size, write with a comment per key.

Every error is one line that starts with the key it is about, for example
``clusters[1].nodes[0].port: must be 1–65535, not 'x'``.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from consensus import topology_keys as table
from consensus.topology import Cluster, Limits, Node, Timings, Topology
from consensus.topology_keys import (
    ACCOUNTS_MAX,
    BASE_PORT,
    FILE_BYTES_MAX,
    ID_MAX,
    MANY_NODES,
    PORT_MAX,
    Key,
    TopologyError,
)
from consensus.types import BALANCE_MAX

__all__ = [
    "BASE_PORT",
    "PORT_MAX",
    "TopologyError",
    "dump",
    "generate",
    "load",
    "parse",
    "validate",
    "warnings",
    "with_ports",
]


# --- reading ----------------------------------------------------------------


class _StrictLoader(yaml.SafeLoader):
    """Refuses a mapping that has a key twice; plain YAML keeps the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen:
                    line = key_node.start_mark.line + 1
                    raise TopologyError(f"{key}: stands twice in one mapping (line {line})")
                seen.add(key)
        return super().construct_mapping(node, deep)


def load(path: str | Path) -> Topology:
    """Read and check the topology in ``path``.

    Raises:
        TopologyError: unreadable, not YAML, or a value that cannot be; the text starts with the path.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise TopologyError(f"longer than {FILE_BYTES_MAX} bytes")
        return parse(data.decode())
    except OSError as error:
        raise TopologyError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise TopologyError(f"{path}: is not UTF-8 text") from error
    except TopologyError as error:
        raise TopologyError(f"{path}: {error}") from error


def parse(text: str) -> Topology:
    """Read and check a topology from YAML text.

    Raises:
        TopologyError: not YAML, an unknown or missing key, or a value that cannot be.
    """
    try:
        document = yaml.load(text, _StrictLoader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise TopologyError(f"{where}not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, TopologyError):
            raise
        raise TopologyError(f"not YAML: {str(error).splitlines()[0]}") from error
    top = _mapping(
        document, "", required=("initial_balance", "clusters"), optional=("timings", "limits", "lease")
    )
    topology = Topology(
        clusters=tuple(
            _cluster(value, f"clusters[{index}]")
            for index, value in enumerate(_list(top["clusters"], "clusters"))
        ),
        initial_balance=_integer(
            top["initial_balance"], "initial_balance", *table.TOP["initial_balance"][1:]
        ),
        timings=_settings(Timings, table.TIMINGS, top.get("timings"), "timings"),
        limits=_settings(Limits, table.LIMITS, top.get("limits"), "limits"),
        lease=_switch(top.get("lease", False), "lease"),
    )
    validate(topology)
    return topology


def _cluster(value: Any, key: str) -> Cluster:
    fields = _mapping(value, key, required=("id", "first_account", "last_account", "nodes"))
    return Cluster(
        id=_integer(fields["id"], f"{key}.id", 1, ID_MAX),
        nodes=tuple(
            _node(item, f"{key}.nodes[{index}]")
            for index, item in enumerate(_list(fields["nodes"], f"{key}.nodes"))
        ),
        first_account=_integer(fields["first_account"], f"{key}.first_account", 1, ACCOUNTS_MAX + 1),
        last_account=_integer(fields["last_account"], f"{key}.last_account", 0, ACCOUNTS_MAX),
    )


def _node(value: Any, key: str) -> Node:
    fields = _mapping(value, key, required=("id", "host", "port"))
    host = fields["host"]
    if not isinstance(host, str):
        raise TopologyError(f"{key}.host: must be a host name or address, not {_show(host)}")
    return Node(
        id=_integer(fields["id"], f"{key}.id", 1, ID_MAX),
        host=host,
        port=_integer(fields["port"], f"{key}.port", 1, PORT_MAX),
    )


_Settings = TypeVar("_Settings", Timings, Limits)


def _settings(kind: type[_Settings], keys: dict[str, Key], value: Any, key: str) -> _Settings:
    """Read a mapping of numbers; what is left out keeps its default."""
    if value is None:
        return kind()
    fields = _mapping(value, key, optional=tuple(keys))
    check = _integer if keys is table.LIMITS else _number
    read: dict[str, Any] = {
        name: check(given, f"{key}.{name}", keys[name].least, keys[name].most)
        for name, given in fields.items()
    }
    return kind(**read)


def _mapping(
    value: Any, key: str, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    known = (*required, *optional)
    if not isinstance(value, dict):
        raise TopologyError(
            f"{key or 'file'}: must be a mapping with the keys {', '.join(known)}, not {_show(value)}"
        )
    prefix = f"{key}." if key else ""
    for name in value:
        if name not in known:
            raise TopologyError(f"{prefix}{name}: unknown key; known here: {', '.join(known)}")
    for name in required:
        if name not in value:
            raise TopologyError(f"{prefix}{name}: is missing")
    return value


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise TopologyError(f"{key}: must be a list with at least one item, not {_show(value)}")
    return value


def _switch(value: Any, key: str) -> bool:
    if not isinstance(value, bool):
        raise TopologyError(f"{key}: must be true or false, not {_show(value)}")
    return value


def _integer(value: Any, key: str, least: float, most: float) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise TopologyError(f"{key}: must be {least:.0f}–{most:.0f}, not {_show(value)}")
    return value


def _number(value: Any, key: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise TopologyError(f"{key}: must be a number {least:.0f}–{most:.0f}, not {_show(value)}")
    return float(value)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- checking ---------------------------------------------------------------


def validate(topology: Topology) -> None:
    """Check what no single value shows: uniqueness, account ranges, the order of the timings.

    Raises:
        TopologyError: the first thing found wrong.
    """
    if not topology.clusters:
        raise TopologyError("clusters: must be a list with at least one item")
    _check_ids(topology)
    _check_ranges(topology)
    _check_settings(topology.timings, table.TIMINGS, "timings")
    _check_settings(topology.limits, table.LIMITS, "limits")
    _check_timings(topology.timings)
    if topology.limits.segment_bytes < 2 * topology.limits.batch_bytes:
        raise TopologyError(
            f"limits.segment_bytes: must be at least twice batch_bytes ({topology.limits.batch_bytes}), "
            f"not {topology.limits.segment_bytes}"
        )
    balance = topology.initial_balance
    if not 0 <= balance <= BALANCE_MAX or balance * topology.accounts > BALANCE_MAX:
        raise TopologyError(
            f"initial_balance: {topology.accounts} accounts times {balance} must be 0–{BALANCE_MAX}, "
            "or one account could not hold all of it"
        )


def warnings(topology: Topology) -> list[str]:
    """Things that work but are seldom meant, one line each."""
    return [
        f"clusters[{index}].nodes: {len(cluster.nodes)} nodes survive no more failures than "
        f"{len(cluster.nodes) - 1} would, since a majority is {len(cluster.nodes) // 2 + 1}"
        for index, cluster in enumerate(topology.clusters)
        if len(cluster.nodes) % 2 == 0
    ]


def _check_ids(topology: Topology) -> None:
    clusters: dict[int, str] = {}
    nodes: dict[int, str] = {}
    addresses: dict[tuple[str, int], str] = {}
    for index, cluster in enumerate(topology.clusters):
        key = f"clusters[{index}]"
        _unique(clusters, cluster.id, f"{key}.id")
        if not cluster.nodes:
            raise TopologyError(f"{key}.nodes: must be a list with at least one item")
        for position, node in enumerate(cluster.nodes):
            node_key = f"{key}.nodes[{position}]"
            _unique(nodes, node.id, f"{node_key}.id")
            if not node.host or not re.fullmatch(r"[0-9A-Za-z_.:%-]{1,253}", node.host):
                raise TopologyError(
                    f"{node_key}.host: must be a host name or address, not {_show(node.host)}"
                )
            if not 1 <= node.port <= PORT_MAX:
                raise TopologyError(f"{node_key}.port: must be 1–{PORT_MAX}, not {node.port}")
            _unique(addresses, (node.host, node.port), f"{node_key}.port")


_Value = TypeVar("_Value", bound=Hashable)


def _unique(seen: dict[_Value, str], value: _Value, key: str) -> None:
    if value in seen:
        shown = f"{value[0]}:{value[1]}" if isinstance(value, tuple) else value
        raise TopologyError(f"{key}: {shown} is taken already by {seen[value]}")
    seen[value] = key


def _check_ranges(topology: Topology) -> None:
    """The ranges, put in order, must cover 1..N without overlap or gap."""
    expected = 1
    before = "accounts start at 1"
    in_order = sorted(
        enumerate(topology.clusters), key=lambda item: (item[1].first_account, item[1].last_account)
    )
    for index, cluster in in_order:
        first, last, key = cluster.first_account, cluster.last_account, f"clusters[{index}]"
        if last < first - 1:
            raise TopologyError(
                f"{key}.last_account: must be at least first_account - 1 ({first - 1}), not {last}"
            )
        if last < first:
            continue
        if first != expected:
            what = "overlaps the accounts of" if first < expected else "leaves a gap after"
            detail = before if expected == 1 else f"{what} {before}"
            raise TopologyError(f"{key}.first_account: must be {expected}, not {first}: {detail}")
        expected = last + 1
        before = f"{key}, which ends at {last}"
    if expected == 1:
        raise TopologyError("clusters: own no account at all; set first_account and last_account")
    if expected - 1 > ACCOUNTS_MAX:
        raise TopologyError(f"clusters: {expected - 1} accounts are more than {ACCOUNTS_MAX}")


def _check_settings(settings: Timings | Limits, keys: dict[str, Key], prefix: str) -> None:
    for name, key in keys.items():
        value = getattr(settings, name)
        if not key.least <= value <= key.most:
            raise TopologyError(f"{prefix}.{name}: must be {key.least:.0f}–{key.most:.0f}, not {value}")


def _check_timings(timings: Timings) -> None:
    """Each wait must leave room for the one inside it (PROTOCOL, "Timing")."""
    if timings.election_min_ms <= 3 * timings.heartbeat_ms:
        raise TopologyError(
            f"timings.election_min_ms: must exceed 3 heartbeats ({3 * timings.heartbeat_ms:g}), "
            f"not {timings.election_min_ms:g}: one lost heartbeat must not start an election"
        )
    for larger, smaller in (
        ("election_max_ms", "election_min_ms"),
        ("twopc_ms", "lock_wait_ms"),
        ("client_deadline_ms", "twopc_ms"),
        ("election_min_ms", "batch_delay_ms"),
        ("election_min_ms", "commit_delay_ms"),
    ):
        low, high = getattr(timings, smaller), getattr(timings, larger)
        if high <= low:
            raise TopologyError(f"timings.{larger}: must be above timings.{smaller} ({low:g}), not {high:g}")


# --- generating and writing -------------------------------------------------


def generate(
    clusters: int = 3,
    nodes: int = 3,
    accounts: int = 9000,
    balance: int = 10,
    host: str = "127.0.0.1",
    base_port: int = BASE_PORT,
) -> Topology:
    """A topology of ``clusters`` times ``nodes`` nodes on one host, ports counted up from ``base_port``.

    Accounts are spread evenly; the first clusters take one more each where they do not divide.

    Raises:
        TopologyError: a number is out of range.
    """
    _integer(clusters, "clusters", 1, ID_MAX)
    _integer(nodes, "nodes", 1, ID_MAX)
    _integer(accounts, "accounts", 1, ACCOUNTS_MAX)
    _integer(base_port, "base_port", 1, PORT_MAX)
    total = clusters * nodes
    if base_port + total - 1 > PORT_MAX:
        raise TopologyError(f"base_port: {total} nodes from port {base_port} on would pass port {PORT_MAX}")
    share, remainder = divmod(accounts, clusters)
    made: list[Cluster] = []
    first = 1
    for index in range(clusters):
        last = first + share - 1 + (1 if index < remainder else 0)
        ids = range(index * nodes, (index + 1) * nodes)
        made.append(Cluster(index + 1, tuple(Node(i + 1, host, base_port + i) for i in ids), first, last))
        first = last + 1
    timings = Timings(election_min_ms=200, election_max_ms=400) if total > MANY_NODES else Timings()
    topology = Topology(tuple(made), balance, timings)
    validate(topology)
    return topology


def with_ports(topology: Topology, ports: Iterable[int]) -> Topology:
    """The same topology with other ports, given in node order.

    Raises:
        TopologyError: fewer ports than nodes, or a port twice.
    """
    given = iter(ports)
    try:
        clusters = tuple(
            msgspec.structs.replace(
                cluster,
                nodes=tuple(msgspec.structs.replace(node, port=next(given)) for node in cluster.nodes),
            )
            for cluster in topology.clusters
        )
    except (StopIteration, RuntimeError) as error:
        raise TopologyError(f"ports: fewer than the {len(topology.nodes)} nodes") from error
    changed = msgspec.structs.replace(topology, clusters=clusters)
    validate(changed)
    return changed


def dump(topology: Topology) -> str:
    """YAML with a comment per key; :func:`parse` reads it back to an equal topology."""
    lines = [
        "# Topology of the bank: clusters, nodes, account ranges, timings, limits.",
        "# Another size: manage.py topology --clusters N --nodes N --accounts N --output FILE",
        "",
        f"# {table.TOP['initial_balance'].comment}",
        f"initial_balance: {topology.initial_balance}",
        "",
        f"# {table.LEASE_COMMENT}",
        f"lease: {str(topology.lease).lower()}",
        "",
        "# Paxos groups. Each owns a range of accounts and survives the loss of a minority of its nodes.",
        "clusters:",
    ]
    for index, cluster in enumerate(topology.clusters):
        lines += _dump_cluster(cluster, commented=index == 0)
    for title, name, settings, keys in (
        ("Milliseconds. A key left out keeps its default.", "timings", topology.timings, table.TIMINGS),
        (
            "Bounds of queues, batches and logs. A key left out keeps its default.",
            "limits",
            topology.limits,
            table.LIMITS,
        ),
    ):
        lines += ["", f"# {title}", f"{name}:"]
        for key, about in keys.items():
            value = getattr(settings, key)
            lines += [f"  # {about.comment}", f"  {key}: {int(value) if value == int(value) else value}"]
    return "\n".join(lines) + "\n"


def _dump_cluster(cluster: Cluster, commented: bool) -> list[str]:
    lines: list[str] = []
    for name, comment in table.CLUSTER_COMMENTS.items():
        lead = "  - " if name == "id" else "    "
        if commented:
            lines.append(f"  # {comment}" if name == "id" else f"    # {comment}")
        lines.append(f"{lead}{name}:" if name == "nodes" else f"{lead}{name}: {getattr(cluster, name)}")
    if commented:
        lines.append(f"      # {table.NODE_COMMENT}")
    lines += [f'      - {{id: {node.id}, host: "{node.host}", port: {node.port}}}' for node in cluster.nodes]
    return lines
