"""The files shipped in ``testcases/``, and the sizes of banks."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from django.conf import settings

from bankweb.orchestration.bank import topology
from bankweb.rest.problems import Problem, invalid
from consensus import topology_file
from consensus.testset.csvtext import FaultError
from consensus.testset.parser import TestSet, parse
from consensus.testset.runner import check
from consensus.topology import Topology
from consensus.topology_keys import TopologyError

NODES_MAX: Final = 25
"""Processes of one private bank."""
CLUSTERS_MAX: Final = 25
ACCOUNTS_MAX: Final = 90_000
BALANCE_MAX: Final = 1_000_000
COURSE_FILE: Final = "course-testcases.csv"


class Sizes(msgspec.Struct, frozen=True):
    """Of a private bank: clusters, nodes in each, accounts in all, money on each."""

    clusters: int = 3
    nodes: int = 3
    accounts: int = 9_000
    balance: int = 10

    def topology(self) -> Topology:
        """A topology of these sizes, without ports.

        Raises:
            Problem: a size makes no sense (400).
        """
        if self.clusters * self.nodes > NODES_MAX:
            raise invalid(
                "nodes", f"{self.clusters} × {self.nodes} nodes; a private bank has {NODES_MAX} at most"
            )
        try:
            return topology_file.generate(**msgspec.structs.asdict(self))
        except TopologyError as error:
            raise invalid("accounts", str(error)) from error


def shown_sizes() -> Sizes:
    """Of the bank on show."""
    bank = topology()
    nodes = max(len(cluster.members) for cluster in bank.clusters)
    return Sizes(len(bank.clusters), nodes, bank.accounts, bank.initial_balance)


class ShippedFile(msgspec.Struct, frozen=True):
    """``sets`` and ``commands``: how many it holds; ``sizes``: the bank it is written for."""

    name: str
    sets: int
    commands: int
    sizes: Sizes


_SIZES: Final = {
    "four-clusters-120-accounts.csv": Sizes(4, 3, 120),
    "five-clusters-of-five.csv": Sizes(5, 5),
    "one-node.csv": Sizes(1, 1),
}


def _folder() -> Path:
    return Path(settings.BASE_DIR) / "testcases"


@cache
def shipped() -> list[ShippedFile]:
    """The files of ``testcases/``, the course's own first."""
    found = []
    for path in sorted(_folder().glob("*.csv"), key=lambda path: (path.name != COURSE_FILE, path.name)):
        sets = parse(path.read_bytes())
        commands = sum(len(each.commands) for each in sets)
        found.append(ShippedFile(path.name, len(sets), commands, _SIZES.get(path.name, Sizes())))
    return found


def read_shipped(name: str) -> tuple[ShippedFile, bytes]:
    """A shipped file and its bytes.

    Raises:
        Problem: there is none of that name (400).
    """
    for each in shipped():
        if each.name == name:
            return each, (_folder() / name).read_bytes()
    raise invalid("file", f"must be one of {', '.join(each.name for each in shipped())}")


def read_sets(data: bytes, topology: Topology) -> list[TestSet]:
    """The sets of a file; every node they name exists.

    Raises:
        Problem: the file is malformed; the detail names line and column (400).
    """
    try:
        sets = parse(data)
        check(sets, topology)
    except FaultError as error:
        place: dict[str, Any] = {"line": error.line, "column": error.column}
        raise Problem("invalid", f"content: {error}", "content", extra=place) from error
    if not sets:
        raise invalid("content", "the file holds no set")
    return sets
