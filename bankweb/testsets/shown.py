"""The bank on show, for a run of test sets: reset before each set, whole again afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from django.conf import settings

from bankweb.orchestration import actions
from bankweb.orchestration.bank import topology
from bankweb.rest.problems import Problem
from consensus.cli.shell.local import local_teller
from consensus.cli.shell.teller import Teller
from consensus.client.errors import OperatorError
from consensus.testset.parser import TestSet
from consensus.testset.report import SetReport
from consensus.testset.runner import SetRunner
from consensus.topology import Topology

ACTOR = "test set"


class ShownBank:
    """A :class:`bankweb.testsets.private.Bench`. Make it with :func:`open_shown`."""

    def __init__(self, teller: Teller, held: contextlib.AsyncExitStack) -> None:
        self.teller = teller
        self._held = held

    async def run(self, test_set: TestSet, told: Callable[[int], None]) -> SetReport:
        return await SetRunner(topology(), settings.BANK_SECRET, told=told).run(test_set)

    async def close(self) -> None:
        """Nodes that the last set left failed take part again."""
        await self._held.aclose()
        await actions.heal(ACTOR)


async def open_shown(topology: Topology) -> ShownBank:
    """Take the bank on show as it is, once every fault in it is healed.

    Raises:
        OperatorError: something could not be healed.
    """
    held: Any
    try:
        await actions.heal(ACTOR)
    except Problem as problem:
        raise OperatorError(problem.detail) from problem
    async with contextlib.AsyncExitStack() as held:
        teller = await held.enter_async_context(local_teller(topology, settings.BANK_SECRET))
        return ShownBank(teller, held.pop_all())
