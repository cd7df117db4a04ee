"""A scenario as data: read strictly from YAML. A step has a caption and exactly one thing to do."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

FOLDER: Final = Path(__file__).parent / "files"
FAULTS: Final = ("fail", "recover", "kill", "restart", "cut", "slow", "heal")


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from", "as_": "as"}):
    """Of the parts of a file: an unknown key is a mistake."""


class Transfer(Strict, frozen=True):
    """One pays another. ``expect``: outcomes that are right; ``background``: do not wait for it."""

    from_: int
    to: int
    amount: int
    expect: str | list[str] = "committed"
    reason: str = ""
    deadline_s: float = 3.0
    background: bool = False
    as_: str = ""


class Legs(Strict, frozen=True):
    """A transaction of several legs (account, delta), which commits."""

    legs: list[tuple[int, int]]


class Burst(Strict, frozen=True):
    """Everybody in the ranges ``from`` pays ``to`` at once; a lost lock is tried again."""

    to: int
    from_: list[tuple[int, int]]
    amount: int


class Read(Strict, frozen=True):
    """A linearizable read, or of ``replicas`` what every node of the account's cluster has applied."""

    account: int
    balance: int


class NodeState(Strict, frozen=True):
    """What one node has applied, whatever the others know."""

    node: str
    account: int
    balance: int


class Place(Strict, frozen=True):
    account: int


class Cause(Strict, frozen=True):
    """A fault, or its end. ``node``: ``n3``, ``leader of 1``, ``followers of 2``; ``victims``: those before.

    ``slow``: messages from cluster ``from`` to cluster ``to`` take ``delay_ms`` longer.
    """

    kind: str
    node: str = ""
    from_: int = 0
    to: int = 0
    delay_ms: float = 0.0


class NewLeader(Strict, frozen=True):
    """Wait until the cluster is led by a node that is no victim."""

    cluster: int


class Resolve(Strict, frozen=True):
    """Make the transfer that was called ``name`` final."""

    name: str
    expect: list[str]


class Trade(Strict, frozen=True):
    """Transfers within ``groups`` of accounts that lie scattered over the clusters."""

    groups: int
    transfers: int
    seed: int
    cross_pct_below: float = 100.0


class Reshard(Strict, frozen=True):
    moved_at_least: int


class Step(Strict, frozen=True):
    """``caption`` tells people what is about to happen. One of the others is given.

    ``at_once``: it follows the step before without the pause that lets people look.
    """

    caption: str
    at_once: bool = False
    transfer: Transfer | None = None
    legs: Legs | None = None
    burst: Burst | None = None
    read: Read | None = None
    replicas: Read | None = None
    node_state: NodeState | None = None
    locked: Place | None = None
    unlocked: Place | None = None
    fault: Cause | None = None
    new_leader: NewLeader | None = None
    resolve: Resolve | None = None
    trade: Trade | None = None
    reshard: Reshard | None = None

    @property
    def action(self) -> tuple[str, Any]:
        """Its name and what it takes."""
        given = [(name, value) for name in ACTIONS if (value := getattr(self, name)) is not None]
        if len(given) != 1:
            raise ScenarioError(f"{self.caption!r}: exactly one action, not {len(given)}")
        return given[0]


ACTIONS: Final = tuple(name for name in Step.__struct_fields__ if name not in ("caption", "at_once"))


class Scenario(Strict, frozen=True):
    """``next`` names the one to go on with. Sizes are those of the private bank."""

    title: str
    about: str
    next: str
    steps: list[Step]
    accounts: int = 9_000
    balance: int = 10


class ScenarioError(ValueError):
    """A file holds no scenario; the text says where."""


def read(path: Path) -> Scenario:
    """A scenario of one file.

    Raises:
        ScenarioError: it holds something else.
    """
    try:
        scenario = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), Scenario)
    except (msgspec.ValidationError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path.name}: {error}") from error
    for step in scenario.steps:
        name, value = step.action
        if name == "fault" and value.kind not in FAULTS:
            raise ScenarioError(f"{path.name}: {value.kind!r} is none of {', '.join(FAULTS)}")
    return scenario


@cache
def scenarios() -> dict[str, Scenario]:
    """All of them by name, in the order in which one leads to the next."""
    found = {path.stem: read(path) for path in sorted(FOLDER.glob("*.yaml"))}
    ordered: dict[str, Scenario] = {}
    name = "first-transfer"
    while name not in ordered:
        ordered[name] = found[name]
        name = found[name].next
    return ordered
