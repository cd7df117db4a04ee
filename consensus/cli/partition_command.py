"""``manage.py partition FILE.hgr``: split a hypergraph, print what it costs, write one block per line."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any, Final

from consensus.cli.command import EXIT_FAILED, EXIT_USAGE, print_json
from consensus.sharding import hmetis, mtkahypar_engine
from consensus.sharding.compiled import Ids
from consensus.sharding.hypergraph import Hypergraph, block_weights, costs, imbalances, limits
from consensus.sharding.portfolio import K_MAX, partition

EPSILON: Final = 0.03
ENGINES: Final = ("portfolio", "mtkahypar")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.hgr", help="hypergraph in hMETIS format")
    parser.add_argument("--k", type=int, required=True, help=f"blocks, 2 to {K_MAX}")
    parser.add_argument("--epsilon", type=float, default=EPSILON, help="allowed imbalance (0.03)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same partition (0)")
    parser.add_argument("--from", type=Path, dest="start", metavar="FILE.part", help="start from it")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write one block per line")
    parser.add_argument("--engine", choices=ENGINES, default="portfolio", help="who partitions (portfolio)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def main(options: dict[str, Any]) -> int:
    """Exit status 0 when the partition keeps the allowed imbalance; 1 when it does not."""
    if not 0 <= options["epsilon"] <= 10:
        return _usage(f"--epsilon: must be 0 to 10, not {options['epsilon']:g}")
    if not 0 <= options["seed"] < 2**31:
        return _usage(f"--seed: must be 0 to {2**31 - 1}, not {options['seed']}")
    k = options["k"]
    if not 2 <= k <= K_MAX:
        return _usage(f"--k: must be 2 to {K_MAX}, not {k}")
    try:
        graph = hmetis.read(options["file"])
        if graph.vertices < k:
            return _usage(f"--k: {graph.vertices} vertices cannot fill {k} blocks")
        start = None
        if options["start"] is not None:
            start = hmetis.read_partition(options["start"], graph.vertices, k)
        began = time.perf_counter()
        part = _partition(graph, options, start)
        seconds = time.perf_counter() - began
        if options["output"] is not None:
            hmetis.write_partition(options["output"], part)
    except hmetis.HmetisError as error:
        return _usage(str(error))
    except OSError as error:
        return _usage(f"{error.filename}: {error.strerror}")
    except mtkahypar_engine.EngineMissingError as error:
        sys.stderr.write(f"partition: {error}\n")
        return EXIT_FAILED
    return _report(graph, part, options, seconds)


def _partition(graph: Hypergraph, options: dict[str, Any], start: Ids | None) -> Ids:
    k, epsilon, seed = options["k"], options["epsilon"], options["seed"]
    if options["engine"] == "mtkahypar":
        return mtkahypar_engine.partition(graph, k, epsilon, seed)
    # a file's vertex weights are what it wants balanced; the number of vertices is not
    limit = limits(graph, k, None, epsilon)
    return partition(graph, k, limit, seed, current=start).part


def _report(graph: Hypergraph, part: Ids, options: dict[str, Any], seconds: float) -> int:
    k = options["k"]
    km1, cut = costs(graph, part, k)
    imbalance = imbalances(graph, part, k)[1]
    sizes = block_weights(graph, part, k)[:, 1].tolist()
    document = {
        "cut": cut, "km1": km1, "imbalance": round(imbalance, 6), "seconds": round(seconds, 3), "sizes":
        sizes, "k": k, "epsilon": options["epsilon"], "seed": options["seed"], "engine": options["engine"],
    }  # fmt: skip
    if options["json"]:
        print_json(document)
    else:
        for name in ("cut", "km1", "imbalance", "seconds", "sizes"):
            sys.stdout.write(f"{name:<10}{document[name]}\n")
    if max(sizes) > limits(graph, k, None, options["epsilon"])[1]:
        sys.stderr.write(f"partition: the imbalance {imbalance:.4f} is above {options['epsilon']:g}\n")
        return EXIT_FAILED
    return 0


def _usage(text: str) -> int:
    sys.stderr.write(f"partition: {text}\n")
    return EXIT_USAGE
