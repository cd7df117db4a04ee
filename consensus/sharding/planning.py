"""A plan made in a process of its own: ``python -m consensus.sharding.planning``.

Planning keeps a core busy for seconds, and the compiled partitioner needs memory; neither belongs into the
site. One :class:`Request` (msgpack) comes on stdin; on stdout follow lines of JSON, first the
partitioner's events as they happen, ``{"event": {…}}``, and last ``{"plan": {…}}``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

import msgspec
import numpy as np

from consensus.sharding.compiled import Ids, Ints
from consensus.sharding.planner import SCALE, Options, Plan, plan
from consensus.sharding.traffic import Sample
from consensus.sharding.window import Window, window

MOVES_TOLD_MAX: Final = 20_000
"""Moves of the partitioner's search that are told; further ones are only counted."""
NICE: Final = 5
"""The bank goes first: it serves while a plan is computed."""
VERTICES_SHOWN: Final = 1_000
NETS_SHOWN: Final = 1_500
COURSE_POINTS: Final = 120


class Request(msgspec.Struct):
    """A sample as bytes of its arrays, little-endian, and what to respect (:class:`planner.Options`)."""

    vertices: int
    start: bytes
    accounts: bytes
    reads: bytes
    current: bytes
    k: int
    max_moves: int | None = None
    price: float | None = None
    epsilon: float = 0.03
    load_epsilon: float | None = 0.03
    flat_only: bool = False
    seed: int = 0
    locked: list[int] = []
    """Vertices that must stay."""


def request_of(sample: Sample, current: Ids, k: int, **options: Any) -> Request:
    """The request for a plan that begins at the placement ``current``, blocks from 0 to ``k`` - 1."""
    return Request(
        sample.vertices,
        sample.start.astype("<i8").tobytes(),
        sample.accounts.astype("<i4").tobytes(),
        sample.reads.astype("<i8").tobytes(),
        current.astype("<i4").tobytes(),
        k,
        **options,
    )


def answer(request: Request, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Make the plan, telling events to ``tell``; returns it with ``snapshot``, see :func:`snapshot`.

    Raises:
        ValueError: arrays or options make no sense.
    """
    seen = window(
        request.vertices,
        np.frombuffer(request.start, dtype="<i8"),
        np.frombuffer(request.accounts, dtype="<i4"),
        reads=np.frombuffer(request.reads, dtype="<i8"),
    )
    current = np.frombuffer(request.current, dtype="<i4")
    locked = None
    if request.locked:
        locked = np.zeros(request.vertices, dtype=np.bool_)
        locked[request.locked] = True
    options = Options(
        k=request.k,
        epsilon=request.epsilon,
        load_epsilon=request.load_epsilon,
        price=request.price,
        max_moves=request.max_moves,
        flat_only=request.flat_only,
        seed=request.seed,
    )
    told = 0

    def observe(event: dict[str, Any]) -> None:
        nonlocal told
        if event["k"] == "hg.moves":
            told += len(event["moves"])
            if told > MOVES_TOLD_MAX:
                return
        tell(event)

    made = plan(seen, current, options, locked=locked, observer=observe)
    return {
        **asdict_of(made),
        "moves_told": min(told, MOVES_TOLD_MAX),
        "moves_tried": told,
        "scale": SCALE,
        "snapshot": snapshot(seen, current, made),
        "course": course(seen, current, request.k, made),
    }


def asdict_of(made: Plan) -> dict[str, Any]:
    """A plan as plain values: moves as rows in the order of :class:`planner.Move`."""
    plain = asdict(made)
    plain["moves"] = [list(move) for move in made.moves]
    plain["before"] = made.before._asdict()
    plain["predicted"] = made.predicted._asdict()
    plain["table"] = [benefit._asdict() for benefit in made.table]
    return plain


def course(seen: Window, current: Ids, k: int, made: Plan) -> list[list[float]]:
    """What the clusters are like while the moves are made, on the window of the plan.

    Rows of moves made, km1, and by how many percent the heaviest cluster is above the mean, in load and in
    accounts; from 0 moves to all, at most :data:`COURSE_POINTS` and one more. Empty without moves.
    """
    if not made.moves:
        return []
    moves = np.array(made.moves, dtype=np.int64)
    load = np.bincount(seen.accounts, minlength=seen.vertices) + seen.reads
    weights = np.stack([np.bincount(current, load, k), np.bincount(current, minlength=k)])
    km1 = made.table[0].km1 + int(moves[: made.table[0].moves, 3].sum())
    rows: list[list[float]] = []
    done = 0
    for count in np.unique(np.linspace(0, len(moves), COURSE_POINTS + 1).astype(int)).tolist():
        _, source, target, saved, _, _, weight = moves[done:count].T
        done = count
        km1 -= int(saved.sum())
        weights[0] += np.bincount(target, weight, k) - np.bincount(source, weight, k)
        weights[1] += np.bincount(target, minlength=k) - np.bincount(source, minlength=k)
        uneven = 100 * (weights.max(axis=1) / np.maximum(weights.mean(axis=1), 1e-9) - 1)
        rows.append([count, km1, *np.maximum(uneven, 0).round(3).tolist()])
    return rows


def snapshot(seen: Window, current: Ids, made: Plan) -> dict[str, Any]:
    """The part of the hypergraph a person can look at: the busiest accounts, movers before others.

    ``vertices``: rows of vertex, block, load, at most :data:`VERTICES_SHOWN`; ``nets``: rows of weight and
    places in ``vertices``, the heaviest :data:`NETS_SHOWN` of those with two or more ends among them;
    ``nets_total`` and ``vertices_total`` tell how much there is.
    """
    load = np.bincount(seen.accounts, minlength=seen.vertices) + seen.reads
    rank = load.astype(np.float64)
    movers = [move.account for move in made.moves[: VERTICES_SHOWN // 2]]
    rank[movers] += float(load.max(initial=0)) + 1.0
    busiest = np.argsort(-rank, kind="stable")[:VERTICES_SHOWN]
    busiest = busiest[rank[busiest] > 0]
    place = np.full(seen.vertices, -1, dtype=np.int64)
    place[busiest] = np.arange(len(busiest))
    nets: dict[tuple[int, ...], int] = {}
    ends = place[seen.accounts]
    for number in np.flatnonzero(_inside(seen.start, ends)):
        shown = ends[seen.start[number] : seen.start[number + 1]]
        key = tuple(sorted({int(end) for end in shown if end >= 0}))
        if len(key) > 1:
            nets[key] = nets.get(key, 0) + int(seen.weight[number])
    heaviest = sorted(nets.items(), key=lambda item: (-item[1], item[0]))[:NETS_SHOWN]
    return {
        "vertices": [[int(v), int(current[v]), int(load[v])] for v in busiest],
        "nets": [[weight, *key] for key, weight in heaviest],
        "vertices_total": int((load > 0).sum()),
        "nets_total": len(seen.weight),
    }


def _inside(start: Ints, ends: Ints) -> Any:
    """Which transactions have two or more ends that are shown; shape (t,)."""
    if len(start) < 2:
        return np.zeros(0, dtype=np.bool_)
    return np.add.reduceat((ends >= 0).astype(np.int64), start[:-1]) >= 2


def main() -> int:
    os.nice(NICE)
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Request)
    out = sys.stdout.buffer

    def say(document: dict[str, Any]) -> None:
        out.write(msgspec.json.encode(document) + b"\n")
        out.flush()

    try:
        say({"plan": answer(request, lambda event: say({"event": event}))})
    except ValueError as error:
        say({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
