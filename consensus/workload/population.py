"""Who sends what: makes the clients of a stream, for every mix there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from consensus.topology import Topology
from consensus.types import ClusterId
from consensus.workload import smallbank, ycsb
from consensus.workload.generator import Accounts, Generator, LoadError
from consensus.workload.operations import Operations, branches
from consensus.workload.options import SMALLBANK, TRANSFERS, BenchOptions
from consensus.workload.smallbank import SmallBank
from consensus.workload.steps import StepClient
from consensus.workload.stream import Client, Stream
from consensus.workload.ycsb import Ycsb

if TYPE_CHECKING:
    from consensus.workload.people import Crowd


class Population:
    """The accounts of a bank and how popular each is; shared by all streams of a run.

    Raises:
        LoadError: the bank is too small for what is asked.
    """

    def __init__(self, topology: Topology, options: BenchOptions) -> None:
        self._topology = topology
        self._options = options
        self._mix = options.drawn
        self._crowd: Crowd | None = None
        if options.mix == TRANSFERS:
            self._accounts = Accounts(topology, self._mix, options.seed)
            self.clusters = [cluster.id for cluster in self._accounts.clusters]
        else:
            width = smallbank.WIDTH if options.mix == SMALLBANK else ycsb.WIDTH
            self._branches = branches(topology, self._mix, options.seed, width)
            self.clusters = list(self._branches)
        if not self.clusters:
            raise LoadError("accounts: no cluster has any")

    def new_client(self, cluster: ClusterId, seed: int) -> Callable[[Stream], Client]:
        """Makes the clients of one stream: they draw in turn from one sequence, which ``seed`` decides."""
        if self._options.population == "communities" and self._options.mix == TRANSFERS:
            return self._people(cluster, seed)
        if self._options.mix == TRANSFERS:
            draws = Generator(self._accounts, cluster, self._mix, str(seed))
            return lambda stream: Client(stream, draws)
        operations = self._operations(cluster, str(seed))
        return lambda stream: StepClient(stream, operations)

    def _people(self, cluster: ClusterId, seed: int) -> Callable[[Stream], Client]:
        # Not imported for loads that need no numpy.
        from consensus.workload.people import CommunityGenerator, Crowd

        if self._crowd is None:
            self._crowd = Crowd(self._topology.accounts, self._options.seed, seed)
        crowd = self._crowd

        def new(stream: Stream) -> Client:
            home = stream.client.directory.cluster_of
            return Client(stream, CommunityGenerator(crowd, self._mix, seed, cluster, home))

        return new

    def _operations(self, cluster: ClusterId, seed: str) -> Operations:
        if self._options.mix == SMALLBANK:
            return SmallBank(self._branches, cluster, self._mix, seed)
        return Ycsb(self._options.mix, self._branches, cluster, self._mix, seed)
