"""Mixes like those of the Yahoo Cloud Serving Benchmark, on accounts instead of records.

After Cooper, Silberstein, Tam, Ramakrishnan and Sears, "Benchmarking Cloud Serving Systems with YCSB"
(SoCC 2010): workloads A, B, C and F, with Zipf's law of exponent 0.99. An update of a record is a deposit or
withdrawal at a teller here, because money is never made; a read-modify-write reads the account and then
changes it on the condition that it is as it was read.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from consensus.types import AccountId, ClusterId
from consensus.workload.generator import Mix
from consensus.workload.operations import Branch, Operation, Seen, Write, unchanged

WIDTH: Final = 1
SKEWNESS: Final = 0.99
READ_SHARE: Final = {"ycsb-a": 0.5, "ycsb-b": 0.95, "ycsb-c": 1.0, "ycsb-f": 0.5}
"""Of each workload; the rest are updates, in F read-modify-writes."""
MODIFIES: Final = frozenset(("ycsb-f",))


class Ycsb:
    """Draws the operations on accounts of one cluster.

    Args:
        name: one of ``READ_SHARE``.
        everywhere: the branch of each cluster.
        cluster: where the accounts lie.
        mix: its ``cross_pct`` is the share of changes whose teller is with another cluster; ``amount_max``
            the greatest amount.
        seed: the same seed draws the same sequence.
    """

    def __init__(
        self, name: str, everywhere: dict[ClusterId, Branch], cluster: ClusterId, mix: Mix, seed: str
    ) -> None:
        self._own = everywhere[cluster]
        self._others = [branch for other, branch in everywhere.items() if other != cluster]
        self._draw = random.Random(f"{seed}/{cluster}").random
        self._read_share = READ_SHARE[name]
        self._modifies = name in MODIFIES
        self._cross_share = mix.cross_pct / 100
        self._amount_max = mix.amount_max

    def operation(self) -> Operation:
        """The next one."""
        account = self._own.first + self._own.pick(self._draw)
        if self._draw() < self._read_share:
            return Operation("read", (account,))
        amount = 1 + int(self._draw() * self._amount_max)
        vault = self._vault()
        if not self._modifies:
            paid_in = self._draw() < 0.5
            legs = (vault, -amount, account, amount) if paid_in else (account, -amount, vault, amount)
            return Operation("update", legs=legs)

        def decide(seen: Sequence[Seen]) -> Write:
            # In turn, so that neither side runs dry.
            drawn = seen[0].balance >= amount and seen[0].version % 2 == 1
            legs = (account, -amount, vault, amount) if drawn else (vault, -amount, account, amount)
            return Write(legs, unchanged((account,), seen))

        return Operation("read_modify_write", (account,), decide=decide)

    def _vault(self) -> AccountId:
        branch = self._own
        if self._cross_share and self._draw() < self._cross_share:
            branch = self._others[int(self._draw() * len(self._others))]
        return branch.vault + int(self._draw() * branch.vaults)
