"""Why an account moved, or did not: its partners, what a move saves, the load that goes along, its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from bankweb.redistribution import documents, records
from bankweb.redistribution.models import Redistribution
from bankweb.redistribution.traffic import gatherer
from bankweb.rest.problems import Problem
from consensus.types import AccountId

PARTNERS: Final = 6


async def reason(row: Redistribution, account: AccountId) -> dict[str, Any]:
    """The document of ``redistributions/{id}/moves/{account}/``.

    Raises:
        Problem: the plan does not move that account (404).
    """
    moves = documents.moves(row)
    place = next((i for i, move in enumerate(moves) if move["account"] == account), None)
    if place is None:
        raise Problem("not_found", f"plan {row.key[:8]} does not move account {account}")
    plan = records.unpacked(row.plan)
    move = moves[place]
    return {
        **move,
        "place": place + 1,
        "of": len(moves),
        "window": (row.before or {}).get("window"),
        "partners": await _partners(plan, moves, place),
        "from_plan": place < len(plan.get("partners", ())),
        "load_pct": _loads(plan, moves, place),
        "undoes": row.undoes or None,
        **await _done(row, account),
    }


async def staying(row: Redistribution, account: AccountId) -> dict[str, Any]:
    """Of an account that the plan of ``row`` does not move: where its partners are once the plan is done.

    ``account``; ``cluster``: its own; ``clusters``: rows of ``cluster`` and ``transactions``, most first;
    ``transactions``: all of them; ``best``: no other cluster has more.

    Raises:
        Problem: the bank has no such account (404).
    """
    here = gatherer()
    if not 1 <= account <= here.placement.accounts:
        raise Problem("not_found", f"the bank has accounts 1 to {here.placement.accounts}, not {account}")
    await here.gather()
    sample = await here.window()
    found = await asyncio.to_thread(sample.partners, account - 1, here.placement.accounts)
    goes = {move["account"]: move["to"] for move in documents.moves(row)}
    shared: Counter[int] = Counter()
    for other, count in found:
        shared[goes.get(other + 1, here.placement.owner(other + 1))] += count
    own = here.placement.owner(account)
    ordered = sorted(shared.items(), key=lambda each: (-each[1], each[0] != own, each[0]))
    return {
        "account": account,
        "cluster": own,
        "clusters": [{"cluster": cluster, "transactions": count} for cluster, count in ordered],
        "transactions": sum(shared.values()),
        "best": not ordered or ordered[0][0] == own,
    }


async def _partners(plan: dict[str, Any], moves: list[dict[str, Any]], place: int) -> list[dict[str, Any]]:
    """Those of the plan, with their clusters at its turn; of later moves those of the traffic now."""
    account = moves[place]["account"]
    goes = {move["account"]: (i, move["to"]) for i, move in enumerate(moves)}
    told: list[tuple[int, int, int]]
    if place < len(plan.get("partners", ())):
        told = [(row[0], row[1], row[2]) for row in plan["partners"][place]]
    else:
        here = gatherer()
        await here.gather()
        sample = await here.window()
        found = await asyncio.to_thread(sample.partners, account - 1, PARTNERS)
        told = [(other + 1, count, here.placement.owner(other + 1)) for other, count in found]
    return [
        {
            "account": other,
            "transactions": count,
            "cluster": cluster,
            # one that comes after it to the same cluster
            "follows": other in goes and goes[other][0] > place and goes[other][1] == moves[place]["to"],
        }
        for other, count, cluster in told
    ]


def _loads(plan: dict[str, Any], moves: list[dict[str, Any]], place: int) -> list[dict[str, Any]] | None:
    """Percent of the load of both clusters before and after the move; None where the plan does not say."""
    if "weights" not in plan:
        return None
    clusters = gatherer().placement.clusters
    load = dict(zip(clusters, plan["weights"][0], strict=True))
    total = max(1.0, float(sum(load.values())))

    def shares() -> dict[int, float]:
        return {cluster: round(100 * load[cluster] / total, 2) for cluster in (move["from"], move["to"])}

    move = moves[place]
    for one in moves[:place]:
        load[one["from"]] -= one["load"]
        load[one["to"]] += one["load"]
    before = shares()
    load[move["from"]] -= move["load"]
    load[move["to"]] += move["load"]
    after = shares()
    return [{"cluster": each, "before": before[each], "after": after[each]} for each in before]


async def _done(row: Redistribution, account: AccountId) -> dict[str, Any]:
    """What became of it: the part it went with, when, and how long that took."""
    tried = [part for part in await records.parts_of(row) if account in part.accounts]
    if not tried:
        return {"part": None, "phase": None, "moved": False, "began_us": None, "took_ms": None, "together": 0}
    part = next((part for part in tried if account in part.moved), tried[-1])
    return {
        "part": part.number,
        "phase": part.phase or "moving",
        "moved": account in part.moved,
        "began_us": round(part.began_s * 1e6) or None,
        "took_ms": part.took_ms if part.phase else None,
        "together": len(part.accounts),
    }
