"""Addressing a cluster rather than a node: whoever leads it now."""

from __future__ import annotations

from consensus.messages.base import Message
from consensus.paxos.context import Context
from consensus.types import ClusterId, NodeId


class Groups:
    """Believed leader of each other cluster; a message that went unanswered goes to all its members."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._leaders = {cluster.id: cluster.first_leader for cluster in ctx.topology.clusters}

    def heard(self, cluster: ClusterId, sender: NodeId) -> None:
        """A message that only a leader of ``cluster`` sends came from ``sender``."""
        member = self._ctx.topology.cluster_by_node.get(sender)
        if member is not None and member.id == cluster:
            self._leaders[cluster] = sender

    def send(self, cluster: ClusterId, message: Message, everyone: bool = False) -> None:
        """Send to the leader of ``cluster``, or to every member (only the leader acts on it)."""
        group = self._ctx.topology.cluster_by_id.get(cluster)
        if group is not None:
            self._ctx.send(group.members if everyone else (self._leaders[cluster],), message)
