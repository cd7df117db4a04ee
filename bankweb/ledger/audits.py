"""REST: the audit of all money."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse

from bankweb.ledger import serializers
from bankweb.orchestration import cuts
from bankweb.orchestration.bank import topology
from bankweb.rest.fields import Param, read_query
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer

TOTALS: Final = Param("totals", "bool", "Leave out the accounts.", default=False)


class Audit(BankView):
    @documented(
        "Count all money in one consistent cut",
        serializers.AuditSerializer,
        params=(TOTALS,),
        errors=(503,),
    )
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Every cluster logs the cut, and each transaction counts in all its clusters or in none.

        Exact while transfers go on. It does not order transactions: of two that share no account either may
        stand before it. 503 while a cluster has no majority.
        """
        query = read_query(request, TOTALS)
        cut = await cuts.take(accounts=not query["totals"])
        body = {
            "number": cut.number,
            "incarnation": cut.incarnation,
            "total": cut.total,
            "expected": topology().initial_balance * topology().accounts,
            "in_flight": cut.in_flight,
            "cut": [
                {
                    "cluster": report.cluster,
                    "slot": report.slot,
                    "accounts": report.accounts,
                    "balances": report.balances,
                    "prepared": len(report.prepared),
                }
                for report in cut.reports
            ],
        }
        if cut.accounts is not None:
            body["accounts"] = [row._asdict() for row in cut.accounts]
        return answer(body)
