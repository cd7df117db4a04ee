"""Redistributions as REST and pages show them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from bankweb.redistribution import records
from bankweb.redistribution.models import Redistribution
from bankweb.redistribution.records import PLANNED, PLANNING
from bankweb.redistribution.service import lookback, redistributions
from bankweb.redistribution.traffic import RECENT_S, gatherer

CELLS_MAX: Final = 20_000


def summary(row: Redistribution) -> dict[str, Any]:
    """One of a list: everything but moves and levels."""
    carrying = redistributions().carrying
    live = carrying is not None and carrying.row.key == row.key
    mover = carrying.mover if carrying is not None and live else None
    planning, observing = redistributions().planning, redistributions().observing
    waits = observing if planning is not None and planning.key == row.key else None
    return {
        "id": row.key,
        "plan": row.digest,
        "status": row.status,
        "reason": row.reason or None,
        "origin": row.origin,
        "undoes": row.undoes or None,
        "actor": row.actor,
        "created": row.created.isoformat(),
        "started": row.started.isoformat() if row.started else None,
        "ended": row.ended.isoformat() if row.ended else None,
        "options": row.options,
        "observing": waits.document() if waits is not None else None,
        "progress": {
            "moved": len(mover.moved) if mover is not None else row.moved,
            "total": row.total,
            "eta_s": mover.eta_s if mover is not None else None,
        },
        "before": row.before,
        "predicted": row.predicted,
        "observed": row.observed,
    }


def detail(row: Redistribution) -> dict[str, Any]:
    """One alone, with the contract's ``moves``, its budget–benefit table and its course."""
    plan = records.unpacked(row.plan)
    return {
        **summary(row),
        "moves": [move[:3] for move in plan["moves"]] if plan else [],
        "table": plan["table"] if plan else [],
        "series": lookback() if row.status in (PLANNING, PLANNED) else row.series,
    }


def moves(row: Redistribution) -> list[dict[str, Any]]:
    """Each move in order and why: partners at both ends, weight saved, load that goes with it."""
    plan = records.unpacked(row.plan)
    names = ("account", "from", "to", "saved", "partners_here", "partners_there", "load")
    return [dict(zip(names, move, strict=True)) for move in plan["moves"]] if plan else []


def search(row: Redistribution) -> list[dict[str, Any]]:
    """What the partitioner did, by method and level, coarsest level first: moves kept, and what they saved.

    ``trial``: for the plan from a part of the window, which the rest judges, before the one for the whole.

    Level 0 is that of the accounts. Only moves that were told are counted (``planning.MOVES_TOLD_MAX``).
    """
    plan = records.unpacked(row.plan)
    if not plan or "scale" not in plan:
        return []
    vertices: dict[tuple[bool, str, int], int] = {}
    found: dict[tuple[bool, str], dict[int, list[int]]] = {}
    for event in records.unpacked(row.events) or []:
        trial, method, level = event.get("trial", False), event.get("method", ""), event.get("level", 0)
        if event["k"] == "hg.level":
            vertices[trial, method, level] = event["vertices"]
        elif event["k"] == "hg.moves":
            counts = found.setdefault((trial, method), {}).setdefault(level, [0, 0])
            counts[0] += len(event["moves"])
            counts[1] += sum(move[3] for move in event["moves"])
    accounts = gatherer().placement.accounts
    return [
        {
            "trial": trial,
            "method": method,
            "level": level,
            "vertices": vertices.get((trial, method, level), accounts),
            "moves": counts[0],
            "saved": counts[1] // plan["scale"],
        }
        for (trial, method), levels in found.items()
        for level, counts in sorted(levels.items(), reverse=True)
    ]


async def shard_map(cells: int) -> dict[str, Any]:
    """The document of ``shard-map/``: owners as ranges, and per cell what a map shows."""
    here = gatherer()
    recent = await here.recent()
    placement = here.placement
    blocks = placement.blocks
    per_cell = max(1, -(-placement.accounts // cells))
    edges = np.arange(0, placement.accounts, per_cell)
    heat = np.add.reduceat(recent, edges)
    moving = redistributions().moving()
    sizes = np.bincount(blocks, minlength=len(placement.clusters))
    return {
        "epoch": max(placement.epochs.values(), default=0),
        "moved": len(placement.epochs),
        "accounts": placement.accounts,
        "clusters": [
            {"id": cluster, "accounts": int(sizes[block])} for block, cluster in enumerate(placement.clusters)
        ],
        "ranges": _ranges(blocks, placement.clusters),
        "per_cell": per_cell,
        "cells": [placement.clusters[block] for block in blocks[edges].tolist()],
        "heat": heat.tolist(),
        "recent_s": RECENT_S,
        "moving": [{"account": a, "from": source, "to": target} for a, source, target in moving],
    }


def _ranges(blocks: Any, clusters: list[int]) -> list[list[int]]:
    """Rows of first account, last account, cluster."""
    ends = np.flatnonzero(np.diff(blocks)) + 1
    starts = [0, *ends.tolist()]
    lasts = [*ends.tolist(), len(blocks)]
    return [
        [start + 1, last, clusters[int(blocks[start])]] for start, last in zip(starts, lasts, strict=True)
    ]
