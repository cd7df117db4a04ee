"""Faults as data: what goes wrong, where, when, and for how long. Drawn from a seed, or read from a file.

A fault that cannot happen when its time comes (a crash of a node that is down, damage when a minority is
damaged already) is left out, and counted as such: so any subset of a schedule is a schedule.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from consensus.simulation.draws import Draws
from consensus.types import NodeId

KINDS: Final = (
    "crash",
    "crash_leader",
    "crash_all",
    "pause",
    "pause_leader",
    "fail",
    "fail_leader",
    "cut",
    "cut_one_way",
    "isolate",
    "isolate_leader",
    "deaf",
    "slow_link",
    "lossy_link",
    "slow_disk",
    "stuck_disk_leader",
    "lose_disk",
    "flip_bit",
    "damage_checkpoint",
    "reset_connections",
)
DAMAGE: Final = ("lose_disk", "flip_bit", "damage_checkpoint")


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """``node`` (and ``other`` for links) are ids; kinds that end in ``_leader`` find their node themselves.

    ``strength`` is a factor for slow disks and links, a probability for lossy links.
    """

    at_us: int
    kind: str
    node: NodeId = 0
    other: NodeId = 0
    for_us: int = 0
    strength: float = 0.0


class ScheduleError(ValueError):
    """A schedule file does not hold a schedule."""


BURST: Final = 0.5
"""Chance that a further fault comes shortly after the start, or about the end, of the one before."""


def draw(
    seed: int, members: tuple[NodeId, ...], kinds: tuple[str, ...], gap_us: int, until_us: int
) -> list[Fault]:
    """Faults of these kinds in bursts that are ``gap_us`` apart on average, up to ``until_us``."""
    draws = Draws(seed, "schedule")
    faults: list[Fault] = []
    at = draws.below(2 * gap_us)
    while at < until_us and kinds:
        start = at
        while True:
            fault = _draw_one(draws, members, kinds, start)
            faults.append(fault)
            if not draws.chance(BURST):
                break
            around = draws.pick((fault.at_us, fault.at_us + fault.for_us))
            start = max(0, around + draws.between(-3_000, 30_000))
        at += 1 + draws.below(2 * gap_us)
    return sorted(faults, key=lambda fault: fault.at_us)


def _draw_one(draws: Draws, members: tuple[NodeId, ...], kinds: tuple[str, ...], at: int) -> Fault:
    node, other = draws.pick(members), draws.pick(members)
    for_us = draws.between(5_000, 80_000) if draws.chance(0.4) else draws.between(80_000, 900_000)
    return Fault(at, draws.pick(kinds), node, other, for_us, draws.between(1, 60) / 100)


def to_plain(faults: list[Fault]) -> list[dict[str, Any]]:
    plain: list[dict[str, Any]] = msgspec.to_builtins(faults)
    return plain


class Replay(msgspec.Struct, frozen=True):
    """A failing run as data: ``simulate --schedule`` repeats it. Without seed or steps: those asked for.

    ``invariant`` is what it broke. ``finds`` names the mutation that breaks it, where the file is kept as a
    regression.
    """

    schedule: list[Fault]
    seed: int | None = None
    steps: int | None = None
    scenario: str = ""
    invariant: str = ""
    finds: str = ""


def load(path: Path) -> Replay:
    """Read a schedule: a JSON list of faults, a :class:`Replay`, or a document of ``simulate --json``.

    Of the latter, the first failure.

    Raises:
        ScheduleError: the file cannot be read, or holds something else.
    """
    try:
        data = msgspec.json.decode(path.read_bytes())
        if isinstance(data, list):
            data = {"schedule": data}
        elif "failures" in data:
            first = data["failures"][0]
            names = ("schedule", "seed", "steps", "scenario")
            data = {name: first[name] for name in names if name in first}
        replay = msgspec.convert(data, Replay)
    except OSError as error:
        raise ScheduleError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ScheduleError(f"{path} holds no schedule: {error}") from error
    for fault in replay.schedule:
        if fault.kind not in KINDS:
            raise ScheduleError(f"{path}: unknown kind of fault {fault.kind!r}; known are {', '.join(KINDS)}")
    ordered = sorted(replay.schedule, key=lambda fault: fault.at_us)
    return msgspec.structs.replace(replay, schedule=ordered)
