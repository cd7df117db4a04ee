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

from bankweb.identity import audit
from bankweb.ledger import bodies, doubts, kept, orders, records
from bankweb.ledger.gateway import YIELD_EVERY, Legs, Reservation, gateway
from bankweb.orchestration.bank import topology
from bankweb.rest.problems import Problem
from bankweb.store import StoreError, read, writer
from consensus.client.results import COMMITTED, REFUSED, UNKNOWN, TxResult
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
        Problem: refused, overloaded, or the key belongs to another request.
    """
    if not key:
        return await _finish(_plain(actor, legs, source))
    digest = orders.digest("single", legs)
    return await _once(actor, key, digest, _keyed(actor, legs, key, digest, source))


async def _plain(actor: str, legs: Legs, source: str) -> Answer:
    result = await gateway().submit(legs)
    return await _conclude(result, legs, actor, source)


async def _keyed(actor: str, legs: Legs, key: str, digest: str, source: str) -> Answer:
    reservation = await gateway().reserve(1)
    claimed = await _claim(reservation, actor, key, digest)
    if not claimed.is_new:
        return await _repeat(claimed, legs, actor, source)
    try:
        result = await gateway().submit(legs, reservation.tx_ids[0])
        return await _conclude(result, legs, actor, source, claimed.id)
    except Problem:
        # Nothing was done, so the same request may run anew.
        reservation.drop()
        await writer().write(records.release, claimed.id)
        raise
    finally:
        reservation.release()


async def _claim(reservation: Reservation, actor: str, key: str, digest: str) -> records.Claimed:
    """Claim ``key`` for the reserved ids; they are dropped unless it is new.

    Raises:
        Problem: the key belongs to another request.
        StoreError: the claim could not be stored.
    """
    wish = records.Claiming(actor, key, digest, spans_of(reservation.tx_ids))
    try:
        claimed = await writer().write(records.claim, wish)
    except StoreError:
        reservation.drop()
        raise
    if not claimed.is_new:
        reservation.drop()
        if claimed.body_hash != digest:
            raise _key_reused()
    return claimed


async def _repeat(claimed: records.Claimed, legs: Legs, actor: str, source: str) -> Answer:
    """Answer a request whose key was used before, for the same."""
    if claimed.answer is not None:
        return Answer(200, claimed.answer, _position_header(claimed.position))
    [tx_id] = tx_ids_of(claimed.tx_ids)
    if await read(records.find, str(tx_id)) is None:
        _require_old(claimed)
    result = await gateway().resolve(tx_id, legs)
    return await _conclude(result, legs, actor, source, claimed.id)


def _require_old(claimed: records.Claimed) -> None:
    """Another process of the site may still be at work on a claim that is young."""
    age_s = (datetime.datetime.now(datetime.UTC) - claimed.created).total_seconds()
    if age_s < topology().timings.client_deadline_ms / 1e3 + STILL_RUNNING_S:
        detail = "the first request with this Idempotency-Key is still at work; ask again in a second"
        raise Problem("conflict", detail, "Idempotency-Key", headers={"Retry-After": "1"})


async def _conclude(result: TxResult, legs: Legs, actor: str, source: str, claim: int = 0) -> Answer:
    """Store how a transaction ended, then answer.

    Raises:
        Problem: it was refused.
    """
    ended = bodies.ended(result, legs, source, actor, claim)
    await writer().write(records.end, ended)
    if result.outcome == REFUSED:
        raise _refusal(result)
    if result.final:
        return Answer(200, ended.body, _position_header(ended.position))
    doubts.settle_later(result.id, result.clusters, legs, source, actor, claim)
    return Answer(202, ended.body, {"Location": f"/api/transactions/{result.id}/", "Retry-After": "1"})


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
        return await _finish(_run_batch(actor, items, None, 0))
    digest = orders.digest("batch", items)
    return await _once(actor, key, digest, _keyed_batch(actor, items, key, digest))


async def _keyed_batch(actor: str, items: list[Legs], key: str, digest: str) -> Answer:
    reservation = await gateway().reserve(len(items))
    claimed = await _claim(reservation, actor, key, digest)
    if claimed.is_new:
        try:
            return await _run_batch(actor, items, reservation.tx_ids, claimed.id)
        finally:
            reservation.release()
    if claimed.answer is None:
        _require_old(claimed)
        pairs = zip(tx_ids_of(claimed.tx_ids), items, strict=True)
        results = await asyncio.gather(*(gateway().resolve(tx_id, legs) for tx_id, legs in pairs))
        return await _conclude_batch(actor, results, items, claimed.id)
    return Answer(200, await _settled(claimed), {})


async def _settled(claimed: records.Claimed) -> bytes:
    """The stored answer of a batch, with what was unknown then and is final by now."""
    assert claimed.answer is not None
    if b'"outcome":"unknown"' not in claimed.answer:
        return claimed.answer
    results = msgspec.json.decode(claimed.answer)["results"]
    for index, body in enumerate(results):
        if body["outcome"] == "unknown":
            found = await look_up(body["id"])
            results[index] = {name: found[name] for name in body} if found else body
    answer = bodies.encode({"results": results})
    await writer().write(records.amend_batch, records.Amended(claimed.batch, answer))
    return answer


async def _run_batch(actor: str, items: list[Legs], tx_ids: Sequence[TxId] | None, claim: int) -> Answer:
    results = await gateway().submit_all(items, tx_ids)
    committed = sum(result.outcome == COMMITTED for result in results)
    await audit.record(actor, "batch", {"transactions": len(items)}, f"{committed} committed")
    return await _conclude_batch(actor, results, items, claim)


async def _conclude_batch(actor: str, results: Sequence[TxResult], items: list[Legs], claim: int) -> Answer:
    parts: list[bytes] = []
    for start in range(0, len(results), YIELD_EVERY):
        # Encoded piece by piece: others get their turn on the loop in between.
        piece = [bodies.to_body(result) for result in results[start : start + YIELD_EVERY]]
        parts.append(bodies.encode(piece)[1:-1])
        await asyncio.sleep(0)
    encoded = b'{"results":[' + b",".join(parts) + b"]}"
    spans = _placed([result.id for result in results])
    await writer().write(records.end_batch, records.BatchEnded(encoded, spans, claim))
    for result, legs in zip(results, items, strict=True):
        if result.outcome == UNKNOWN:
            doubts.settle_later(result.id, result.clusters, legs, "batch", actor)
    return Answer(200, encoded, {})


def _placed(tx_ids: Sequence[TxId]) -> list[tuple[str, int, int, int]]:
    """Runs of consecutive ids: session (hex), first, last, place of the first."""
    placed: list[tuple[str, int, int, int]] = []
    place = 0
    for session, first, last in spans_of(tx_ids):
        if session:
            placed.append((session, first, last, place))
        place += last - first + 1
    return placed


def spans_of(tx_ids: Sequence[TxId]) -> records.Spans:
    """Ids as runs of consecutive numbers of one session."""
    spans: records.Spans = []
    previous: TxId | None = None
    for tx_id in tx_ids:
        if previous is not None and tx_id.session == previous.session and tx_id.number == previous.number + 1:
            spans[-1][2] = tx_id.number
        else:
            spans.append([tx_id.session.hex(), tx_id.number, tx_id.number])
        previous = tx_id
    return spans


def tx_ids_of(spans: records.Spans) -> list[TxId]:
    """Inverse of :func:`spans_of`."""
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
        in_batch = await read(records.find_in_batch, tx_id)
        if in_batch is None:
            return None
        body, created = in_batch
        if body["outcome"] != UNKNOWN:
            return kept.describe_batch_item(body, created)
        result = await gateway().resolve(tx_id, (), tuple(body["clusters"]))
        if not result.final:
            return kept.describe_batch_item(body, created)
        await writer().write(records.end, bodies.ended(result, (), "batch", ""))
    elif row.outcome == UNKNOWN:
        legs = tuple(value for leg in msgspec.json.decode(row.legs) for value in leg)
        result = await gateway().resolve(tx_id, legs, tuple(msgspec.json.decode(bytes(row.body))["clusters"]))
        if result.final:
            await writer().write(records.end, bodies.ended(result, legs, row.source, row.actor))
    return await kept.find(str(tx_id))


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
