"""Mt-KaHyPar as another engine, for comparison (Gottesbüren, Heuer, Maas, Sanders and Schlag 2024).

Not a dependency: ``pip install mtkahypar`` where it is wanted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from consensus.sharding import hmetis
from consensus.sharding.compiled import Ids
from consensus.sharding.hypergraph import LOAD, Hypergraph


class EngineMissingError(RuntimeError):
    """The engine is not installed."""


def partition(graph: Hypergraph, k: int, epsilon: float, seed: int) -> Ids:
    """A partition by its default preset with one thread, objective km1, loads balanced.

    Raises:
        EngineMissingError: it is not installed.
    """
    try:
        import mtkahypar
    except ImportError as error:
        raise EngineMissingError("mtkahypar is not installed: pip install mtkahypar") from error
    library = mtkahypar.initialize(1)
    context = library.context_from_preset(mtkahypar.PresetType.DEFAULT)
    context.set_partitioning_parameters(k, epsilon, mtkahypar.Objective.KM1)
    context.logging = False
    mtkahypar.set_seed(seed)
    nets = [
        graph.pins[graph.net_start[net] : graph.net_start[net + 1]].tolist() for net in range(graph.net_count)
    ]
    loads = graph.vertex_weight[:, LOAD].tolist()
    native = library.create_hypergraph(
        context, graph.vertices, graph.net_count, nets, loads, graph.net_weight.tolist()
    )
    result = native.partition(context)
    return np.array([result.block_id(vertex) for vertex in range(graph.vertices)], dtype=np.int32)


def _main(words: list[str]) -> None:
    """For another interpreter: FILE.hgr K EPSILON SEED OUTPUT after ``python -m`` and this module."""
    path, k, epsilon, seed, output = words
    part = partition(hmetis.read(Path(path)), int(k), float(epsilon), int(seed))
    hmetis.write_partition(Path(output), part)


if __name__ == "__main__":
    _main(sys.argv[1:])
