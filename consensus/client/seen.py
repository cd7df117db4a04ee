"""What a caller has seen of accounts, for reads of its own writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from consensus.types import AccountId

SEEN_MAX: Final = 100_000
"""Accounts remembered; of those seen longest ago nothing is asked any more."""


class Seen:
    """Highest version of each account that an answer named."""

    def __init__(self) -> None:
        self._versions: dict[AccountId, int] = {}

    def note(self, accounts: Mapping[Any, Mapping[str, int]]) -> None:
        """Accounts of a transaction's answer: id (an integer or its digits) to ``version`` and more."""
        self.note_versions((int(account), value["version"]) for account, value in accounts.items())

    def note_versions(self, pairs: Iterable[tuple[AccountId, int]]) -> None:
        """(account, version) of a read's answer."""
        for account, version in pairs:
            before = self._versions.pop(account, 0)
            self._versions[account] = max(before, version)
        while len(self._versions) > SEEN_MAX:
            del self._versions[next(iter(self._versions))]

    def versions(self, accounts: Sequence[AccountId]) -> tuple[int, ...]:
        """What a read of one's own writes has to ask for; 0 for accounts never seen."""
        return tuple(self._versions.get(account, 0) for account in accounts)

    def clear(self) -> None:
        """The bank was reset: versions start again."""
        self._versions.clear()
