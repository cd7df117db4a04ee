"""Sending transactions: under a key or without, alone or in batches; each is done at most once.

A key is claimed, with the ids of its transactions, before anything is submitted under them. The
answer is stored before it is given. So whatever ends in between, a repeated request finds either the
answer, or ids that the bank itself can say the truth about. What runs is never cut off when its
caller goes away.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Coroutine, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from bankweb.ledger import bodies, kept, orders, records
from bankweb.ledger.gateway import Legs, clusters_of, gateway
from bankweb.orchestration.bank import topology
from bankweb.rest.problems import Problem
from bankweb.store import StoreError, read, writer
from consensus.client.results import REFUSED, TxResult
from consensus.types import TxId, parse_tx_id

T = TypeVar("T")

STILL_RUNNING_S: Final = 2.0
"""Added to the client's deadline: a claim so young without an answer may still be at work elsewhere."""


class Answer(NamedTuple):
    """An answer of REST: ``status`` 200 or 202, encoded body, headers."""

    status: int
    body: bytes
    headers: dict[str, str]


class FormAnswer(NamedTuple):
    """``transaction`` as :func:`bankweb.ledger.kept.describe` gives it, or what was wrong."""

    transaction: dict[str, Any]
    error: str = ""


_running: dict[tuple[str, str], tuple[str, asyncio.Task[Answer]]] = {}
"""Requests with a key that are under way in this process: a repetition joins the first."""
_tasks: set[asyncio.Task[Any]] = set()


async def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end even if the caller is cancelled (a browser that went away)."""
    task = asyncio.ensure_future(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return await asyncio.shield(task)


async def _once(actor: str, key: str, digest: str, work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run ``work``, or wait for the same request that runs already."""
    running = _running.get((actor, key))
    if running is not None:
        work.close()
        if running[0] != digest:
            raise _key_reused()
        return await asyncio.shield(running[1])
    task = asyncio.ensure_future(work)
    _running[actor, key] = (digest, task)
    task.add_done_callback(lambda _: _running.pop((actor, key), None))
    return await asyncio.shield(task)


def _key_reused() -> Problem:
    detail = "Idempotency-Key: it was sent with another body before; take a new key for a new request"
    return Problem("key_reused", detail, "Idempotency-Key")


# --- single transactions -------------------------------------------------------------------------


async def single(actor: str, legs: Legs, key: str, source: str = "rest") -> Answer:
    """Run one transaction.

    Raises:
        Problem: refused, overloaded, across clusters, or the key belongs to another request.
    """
    clusters = clusters_of(legs)
    if len(clusters) > 1:
        names = ", ".join(map(str, clusters))
        detail = f"the accounts lie in clusters {names}; cross-cluster transfers arrive with 2PC"
        raise Problem("cross_cluster", detail, extra={"clusters": list(clusters)})
    if not key:
        return await _finish(_plain(actor, legs, source))
    digest = orders.digest("single", legs)
    return await _once(actor, key, digest, _keyed(actor, legs, key, digest, source))


async def _plain(actor: str, legs: Legs, source: str) -> Answer:
    result = await gateway().submit(legs)
    return await _conclude(result, legs, actor, source)


async def _keyed(actor: str, legs: Legs, key: str, digest: str, source: str) -> Answer:
    tx_ids = await gateway().new_tx_ids(1)
    wish = records.Claiming(actor, key, digest, _spans(tx_ids))
    try:
        claimed = await writer().write(records.claim, wish)
    except StoreError:
        await gateway().drop_tx_ids(tx_ids)
        raise
    if not claimed.is_new:
        await gateway().drop_tx_ids(tx_ids)
        return await _repeat(claimed, digest, legs, actor, source)
    try:
        result = await gateway().submit(legs, tx_ids[0])
    except Problem:
        await writer().write(records.release, claimed.id)
        raise
    return await _conclude(result, legs, actor, source, claimed.id)


async def _repeat(claimed: records.Claimed, digest: str, legs: Legs, actor: str, source: str) -> Answer:
    """Answer a request whose key was used before."""
    if claimed.body_hash != digest:
        raise _key_reused()
    if claimed.answer is not None:
        return Answer(200, claimed.answer, _position_header(claimed.position))
    [tx_id] = _tx_ids(claimed.tx_ids)
    if await read(records.find, str(tx_id)) is None:
        _require_old(claimed)
    result = await _resolve(tx_id, legs)
    return await _conclude(result, legs, actor, source, claimed.id)


def _require_old(claimed: records.Claimed) -> None:
    """Another process of the site may still be at work on a claim that is young."""
    age_s = (datetime.datetime.now(datetime.UTC) - claimed.created).total_seconds()
    if age_s < topology().timings.client_deadline_ms / 1e3 + STILL_RUNNING_S:
        detail = "the first request with this Idempotency-Key is still at work; ask again in a second"
        raise Problem("conflict", detail, "Idempotency-Key", headers={"Retry-After": "1"})


async def _resolve(tx_id: TxId, legs: Legs) -> TxResult:
    clusters = clusters_of(legs)
    result = await gateway().resolve(tx_id, clusters[0])
    return msgspec.structs.replace(result, legs=legs, clusters=clusters)


async def _conclude(result: TxResult, legs: Legs, actor: str, source: str, claim: int = 0) -> Answer:
    """Store how a transaction ended, then answer."""
    body = bodies.to_body(result)
    encoded = bodies.encode(body)
    position = bodies.position([body])
    ended = records.Ended(
        str(result.id), result.outcome, encoded, legs, source, actor, claim, result.final, position
    )
    await writer().write(records.end, ended)
    if result.outcome == REFUSED:
        if claim:
            await writer().write(records.release, claim)
        raise _refusal(result)
    if result.final:
        return Answer(200, encoded, _position_header(position))
    return Answer(202, encoded, {"Location": f"/api/transactions/{result.id}/", "Retry-After": "1"})


def _refusal(result: TxResult) -> Problem:
    reason = result.reason or "unavailable"
    extra = {"reason": reason, "id": str(result.id)}
    if reason == "overloaded":
        return Problem(
            "overloaded", "the bank has too much to do; nothing was done, send it again", extra=extra
        )
    names = ", ".join(map(str, result.clusters))
    detail = f"cluster {names} refused until the deadline ({reason}); nothing was done, send it again"
    return Problem("refused", detail, extra=extra)


def _position_header(position: str) -> dict[str, str]:
    return {"Session-Position": position} if position else {}


# --- batches -------------------------------------------------------------------------------------


async def batch(actor: str, items: list[Legs], key: str) -> Answer:
    """Run independent transactions; the answer is ``{"results": […]}``, in order.

    Raises:
        Problem: overloaded, or the key belongs to another request.
    """
    if not key:
        return await _finish(_run_batch(items, None, 0))
    digest = orders.digest("batch", items)
    return await _once(actor, key, digest, _keyed_batch(actor, items, key, digest))


async def _keyed_batch(actor: str, items: list[Legs], key: str, digest: str) -> Answer:
    tx_ids = await gateway().new_tx_ids(len(items))
    wish = records.Claiming(actor, key, digest, _spans(tx_ids))
    try:
        claimed = await writer().write(records.claim, wish)
    except StoreError:
        await gateway().drop_tx_ids(tx_ids)
        raise
    if claimed.is_new:
        return await _run_batch(items, tx_ids, claimed.id)
    await gateway().drop_tx_ids(tx_ids)
    if claimed.body_hash != digest:
        raise _key_reused()
    if claimed.answer is not None:
        return Answer(200, claimed.answer, {})
    _require_old(claimed)
    first_try = _tx_ids(claimed.tx_ids)
    results = await asyncio.gather(
        *(_resolve(tx_id, legs) for tx_id, legs in zip(first_try, items, strict=True))
    )
    return await _conclude_batch(results, claimed.id)


async def _run_batch(items: list[Legs], tx_ids: Sequence[TxId] | None, claim: int) -> Answer:
    return await _conclude_batch(await gateway().submit_all(items, tx_ids), claim)


async def _conclude_batch(results: Sequence[TxResult], claim: int) -> Answer:
    parts: list[bytes] = []
    for start in range(0, len(results), 250):
        # Encoded piece by piece: others get their turn on the loop in between.
        piece = [bodies.to_body(result) for result in results[start : start + 250]]
        parts.append(bodies.encode(piece)[1:-1])
        await asyncio.sleep(0)
    encoded = b'{"results":[' + b",".join(parts) + b"]}"
    spans = _batch_spans([result.id for result in results])
    await writer().write(records.end_batch, records.BatchEnded(encoded, spans, claim))
    return Answer(200, encoded, {})


def _batch_spans(tx_ids: Sequence[TxId]) -> list[tuple[str, int, int, int]]:
    """Runs of consecutive ids: session (hex), first, last, place of the first."""
    spans: list[tuple[str, int, int, int]] = []
    place = 0
    for session, first, last in _spans(tx_ids):
        spans.append((session, first, last, place))
        place += last - first + 1
    return [span for span in spans if span[0]]


def _spans(tx_ids: Sequence[TxId]) -> records.Spans:
    spans: records.Spans = []
    previous: TxId | None = None
    for tx_id in tx_ids:
        if previous is not None and tx_id.session == previous.session and tx_id.number == previous.number + 1:
            spans[-1][2] = tx_id.number
        else:
            spans.append([tx_id.session.hex(), tx_id.number, tx_id.number])
        previous = tx_id
    return spans


def _tx_ids(spans: records.Spans) -> list[TxId]:
    return [
        TxId(bytes.fromhex(session), number)
        for session, first, last in spans
        for number in range(first, last + 1)
    ]


# --- looking up ----------------------------------------------------------------------------------


async def look_up(text: str) -> dict[str, Any] | None:
    """A transaction by its id, resolved if it was unknown; None when this site does not know it."""
    try:
        tx_id = parse_tx_id(text)
    except ValueError:
        return None
    row = await read(records.find, str(tx_id))
    if row is None:
        found = await read(records.find_in_batch, tx_id)
        return None if found is None else kept.describe_batch_item(*found)
    if row.outcome == "unknown":
        legs = tuple(value for leg in row.legs for value in leg)
        result = await _resolve(tx_id, legs)
        if result.final:
            body = bodies.encode(bodies.to_body(result))
            ended = records.Ended(row.tx, result.outcome, body, legs, row.source, row.actor)
            await writer().write(records.end, ended)
            row = await read(records.find, row.tx) or row
    return kept.describe(row)


async def from_form(actor: str, legs: Legs, key: str) -> FormAnswer:
    """Send what a form asked for; its hidden key keeps a double click from sending twice."""
    try:
        answer = await single(actor, legs, key, "form")
    except Problem as problem:
        return FormAnswer({}, problem.detail)
    except StoreError as error:
        return FormAnswer({}, str(error))
    found = await kept.find(msgspec.json.decode(answer.body)["id"])
    assert found is not None, "what was answered is kept"
    return FormAnswer(found)
