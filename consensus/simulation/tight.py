"""Bounds of the core that are constants, made small for a run: what happens beyond them happens often."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final

from consensus.simulation.draws import Draws

CHOICES: Final[dict[str, tuple[int, ...]]] = {
    "consensus.paxos.acceptor:AHEAD_SLOTS_MAX": (6, 4_096),
    "consensus.paxos.acceptor:WATERMARK_RECORD_SLOTS": (1, 5, 256),
    "consensus.paxos.acceptor:CHUNK_BYTES": (300, 2_000, 1 << 16),
    "consensus.paxos.catchup:CHUNK_BYTES": (300, 2_000, 1 << 16),
    "consensus.paxos.catchup:FETCH_SLOTS_MAX": (1, 3, 1_024),
    "consensus.replica.apply:APPLY_SLOTS_MAX": (1, 3, 64),
    "consensus.replica.door:EARLY_MAX": (1, 2_000),
    "consensus.replica.reads:READS_WAITING_MAX": (2, 20_000),
    "consensus.replica.transfer:BLOCK_ROWS": (3, 500),
    "consensus.replica.transfer:CHUNK_STREAM_BYTES": (200, 3_000, 48 << 10),
    "consensus.replica.transfer:SENDS_MAX": (1, 2),
    "consensus.replica.transfer:SEND_IDLE_US": (150_000, 5_000_000),
    "consensus.bank.state:VIEWS_MAX": (2, 1_000),
    "consensus.bank.machine:HASH_EVERY_SLOTS": (3, 1_000),
}
"""``module:name`` and the values a run may have. Every value but the last is smaller than the real one."""
SESSION_NAMES: Final = (
    "consensus.bank.machine:SESSIONS_MAX",
    "consensus.bank.movement:SESSIONS_MAX",
    "consensus.replica.admission:SESSIONS_MAX",
)


def draw_tight(draws: Draws) -> dict[str, int]:
    """Values for one run. Half of the runs keep most of the real ones."""
    probability = draws.pick((0.1, 0.6))
    values = {
        name: draws.pick(choices[:-1]) for name, choices in CHOICES.items() if draws.chance(probability)
    }
    if draws.chance(0.2):
        sessions = draws.between(5, 9)
        values |= dict.fromkeys(SESSION_NAMES, sessions)
    return values


@contextmanager
def tightened(values: dict[str, int]) -> Iterator[None]:
    """Let the constants have these values inside the block."""
    before: list[tuple[ModuleType, str, int]] = []
    try:
        for name, value in values.items():
            module_name, attribute = name.split(":")
            module = importlib.import_module(module_name)
            before.append((module, attribute, getattr(module, attribute)))
            setattr(module, attribute, value)
        yield
    finally:
        for changed, attribute, value in before:
            setattr(changed, attribute, value)
