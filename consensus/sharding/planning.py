"""A plan made in a process of its own: ``python -m consensus.sharding.planning``.

Planning keeps a core busy for seconds, and the compiled partitioner needs memory; neither belongs into the
site. One :class:`~consensus.sharding.request.Request` (msgpack) comes on stdin. On stdout follow lines of
JSON, first the partitioner's events as they happen, ``{"event": {…}}``, and last ``{"plan": {…}}``.
With ``--warm`` it only has everything compiled, so that the first plan need not wait for that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

import msgspec
import numpy as np

from consensus.sharding import cache
from consensus.sharding.compiled import Ids, Ints
from consensus.sharding.planner import SCALE, Options, Plan, plan
from consensus.sharding.request import Request
from consensus.sharding.window import Window, window

MOVES_TOLD_MAX: Final = 20_000
"""Moves of the partitioner's search that are told; further ones are only counted."""
WARM_ACCOUNTS: Final = 600
IDLE: Final = 19
NICE: Final = 5
"""The bank goes first: it serves while a plan is computed."""
VERTICES_SHOWN: Final = 1_000
NETS_SHOWN: Final = 1_500
COURSE_POINTS: Final = 120
EXPLAINED_MAX: Final = 1_000
PARTNERS_SHOWN: Final = 6


def answer(request: Request, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Make the plan, telling events to ``tell``; returns it with ``snapshot``, see :func:`snapshot`.

    Raises:
        ValueError: arrays or options make no sense.
    """
    seen = window(
        request.vertices,
        _array(request.start, "<i8"),
        _array(request.accounts, "<i4"),
        reads=_array(request.reads, "<i8"),
    )
    current = _array(request.current, "<i4")
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
        "weights": _weights(seen, current, request.k).tolist(),
        "partners": partners(seen, current, made),
    }


def _array(data: bytes, dtype: str) -> Any:
    """A copy: for arrays that cannot be written to Numba would compile everything once more."""
    return np.frombuffer(data, dtype=dtype).copy()


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
    weights = _weights(seen, current, k)
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


def _weights(seen: Window, part: Ids, k: int) -> Any:
    """Load and number of accounts of each block, shape (2, k)."""
    load = np.bincount(seen.accounts, minlength=seen.vertices) + seen.reads
    return np.stack([np.bincount(part, load, k), np.bincount(part, minlength=k)])


def partners(seen: Window, current: Ids, made: Plan) -> list[list[list[int]]]:
    """With whom each of the first :data:`EXPLAINED_MAX` movers trades most, in the order of the moves.

    Rows of vertex, transactions with it, and its block at the mover's turn; at most :data:`PARTNERS_SHOWN`.
    """
    part = current.copy()
    nets = np.repeat(np.arange(len(seen.weight)), np.diff(seen.start))
    order = np.argsort(seen.accounts, kind="stable")
    by_account = seen.accounts[order]
    found: list[list[list[int]]] = []
    for move in made.moves[:EXPLAINED_MAX]:
        first, last = np.searchsorted(by_account, [move.account, move.account + 1])
        counts: dict[int, int] = {}
        for net in nets[order[first:last]].tolist():
            for other in seen.accounts[seen.start[net] : seen.start[net + 1]].tolist():
                if other != move.account:
                    counts[other] = counts.get(other, 0) + int(seen.weight[net])
        most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:PARTNERS_SHOWN]
        found.append([[other, weight, int(part[other])] for other, weight in most])
        part[move.account] = move.target
    return found


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


def warm() -> None:
    """Have everything compiled that a plan runs, by making small ones: with a budget, and refining only."""
    rng = np.random.default_rng(1)
    firsts = rng.integers(0, WARM_ACCOUNTS, 8 * WARM_ACCOUNTS)
    # Neighbours of three trade with each other; they start in different clusters.
    seconds = firsts - firsts % 3 + (firsts + 1 + rng.integers(0, 2, len(firsts))) % 3
    pairs = np.stack([firsts, seconds], axis=1).astype(np.int32).ravel()
    seen = window(WARM_ACCOUNTS, np.arange(0, len(pairs) + 1, 2), pairs)
    current = (np.arange(WARM_ACCOUNTS) % 3).astype(np.int32)
    crowded = np.zeros(WARM_ACCOUNTS, dtype=np.int32)
    locked = np.zeros(WARM_ACCOUNTS, dtype=np.bool_)
    locked[0] = True
    for options in (Options(3), Options(3, max_moves=200), Options(3, flat_only=True), Options(3, price=0)):
        for start, flags in ((current, None), (current, locked), (crowded, None)):
            made = plan(seen, start, options, locked=flags)
    snapshot(seen, current, made)
    course(seen, current, 3, made)


def main() -> int:
    if sys.argv[1:] == ["--warm"]:
        os.nice(IDLE)
        warm()
        cache.warmed()
        return 0
    if cache.is_warm():
        # Else it compiles first, which beside a full load would take minutes.
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
