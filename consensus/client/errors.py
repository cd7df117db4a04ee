"""What a client raises. Outcomes and refusals are results, not errors."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.types import ClusterId


class ClientError(Exception):
    """The client cannot do what was asked; nothing was sent."""


class CrossClusterError(ClientError):
    """The accounts of one read lie in several clusters.

    Attributes:
        clusters: the clusters touched, the coordinating one first.
    """

    def __init__(self, clusters: Sequence[ClusterId]) -> None:
        self.clusters = tuple(clusters)
        names = ", ".join(f"c{cluster}" for cluster in self.clusters)
        super().__init__(
            f"the accounts lie in several clusters ({names}); read those of one cluster at a time"
        )


class ClientSaturatedError(ClientError):
    """Too many transactions are waiting in this client; wait for some to end, then try again."""


class UnknownTransactionError(ClientError):
    """The client cannot tell which cluster to ask about a transaction; name the cluster."""


class OperatorError(Exception):
    """A node refused what an operator asked for; the text is its reason."""
