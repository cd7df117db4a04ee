"""The scenarios as cards: what each is about, and whether it can be told on the bank on show."""

from __future__ import annotations

from typing import NamedTuple

from bankweb.orchestration.bank import topology
from consensus.scenarios.fitting import misfit
from consensus.scenarios.scenario import scenarios


class Card(NamedTuple):
    """``misfit``: why not on the bank on show; empty when it can."""

    name: str
    title: str
    about: str
    misfit: str


def cards() -> tuple[Card, ...]:
    """In the order in which one leads to the next."""
    return tuple(
        Card(name, scenario.title, scenario.about, misfit(scenario, topology()))
        for name, scenario in scenarios().items()
    )
