"""REST: transactions."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter

from bankweb.identity.audit import actor_of
from bankweb.ledger import kept, orders, sending, serializers
from bankweb.rest.cursors import CURSOR, LIMIT, listed
from bankweb.rest.fields import Param, read_query
from bankweb.rest.parsers import read_json
from bankweb.rest.problems import Problem
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer, raw_answer

OUTCOME = Param(
    "outcome", "str", "Only those that ended so.", choices=("committed", "aborted", "unknown", "refused")
)
ACCOUNT = Param("account", "int", "Only those that touch this account.", least=1)
KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": orders.KEY_BYTES_MAX, "pattern": r"^[ -~]+$"},
    OpenApiParameter.HEADER,
    description=(
        "Makes the request safe to repeat: for 24 hours the same key and body give the same answer "
        "and does nothing more; with another body it gives 422."
    ),
)
_JSON_ORDER: Any = {"application/json": serializers.ORDER_SCHEMA}
_JSON_BATCH: Any = {"application/json": serializers.BATCH_SCHEMA}


class Transactions(BankView):
    @documented(
        "Run one transaction",
        serializers.TransactionSerializer,
        body=_JSON_ORDER,
        params=(KEY,),
        errors=(409, 422, 503),
        more={202: serializers.TransactionSerializer},
    )
    async def post(self, request: HttpRequest) -> HttpResponse:
        """Moves money and answers when it is done.

        200: a final outcome, committed or aborted. 202: the outcome is `unknown`, ask at `Location`.
        503: refused or overloaded; nothing was done, and the same request may be sent again.
        `Session-Position` of the answer makes `ryw` reads see this transaction.
        """
        read_query(request)
        key = orders.key(request.headers.get("Idempotency-Key"))
        legs = orders.order(read_json(request))
        sent = await sending.single(actor_of(request), legs, key)
        return raw_answer(sent.body, sent.status, sent.headers)

    @documented(
        "List the transactions that are kept",
        serializers.KeptTransactionPage,
        params=(OUTCOME, ACCOUNT, CURSOR, LIMIT),
        errors=(503,),
    )
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Those sent by forms and by single REST calls, newest first; the oldest are dropped in time."""
        query = read_query(request, OUTCOME, ACCOUNT, CURSOR, LIMIT)
        cursor = "" if query["cursor"] is None else str(query["cursor"])
        page = await kept.page(query, cursor, query["limit"])
        return answer(listed(request, page.rows, int(page.next) if page.next else None))


class TransactionBatch(BankView):
    @documented(
        "Run up to 10,000 independent transactions",
        serializers.BatchResultSerializer,
        body=_JSON_BATCH,
        params=(KEY,),
        errors=(409, 422, 503),
    )
    async def post(self, request: HttpRequest) -> HttpResponse:
        """They run in no particular order; results come in the order of the request.

        The body is a list, or `{"items": […]}`. An item that is not acceptable refuses the whole
        batch, and nothing of it is done.
        """
        read_query(request)
        key = orders.key(request.headers.get("Idempotency-Key"))
        items = orders.batch(read_json(request))
        sent = await sending.batch(actor_of(request), items, key)
        return raw_answer(sent.body, sent.status, sent.headers)


class TransactionDetail(BankView):
    @documented(
        "How a transaction ended",
        serializers.KeptTransactionSerializer,
        errors=(404, 503),
    )
    async def get(self, request: HttpRequest, tx_id: str) -> HttpResponse:
        """The final outcome of a transaction sent through this site; an `unknown` one is resolved first.

        It stays `unknown` only while its cluster does not answer.
        """
        read_query(request)
        found = await sending.look_up(tx_id)
        if found is None:
            raise Problem(
                "not_found", "no transaction with this id was sent through this site, or it was dropped"
            )
        return answer(found)
