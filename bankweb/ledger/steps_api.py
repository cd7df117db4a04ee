"""REST: the steps of a transaction."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from bankweb.ledger import sending, serializers
from bankweb.ledger.steps import steps
from bankweb.orchestration.bank import topology
from bankweb.rest.fields import read_query
from bankweb.rest.problems import Problem
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer


class TransactionSteps(BankView):
    @documented("How a transaction came about", serializers.StepsSerializer, errors=(404, 503))
    async def get(self, request: HttpRequest, tx_id: str) -> HttpResponse:
        """What each node told of it: locks, votes, the decision, where it was applied, the messages.

        Transactions from forms and single calls are recorded in full, those of batches are not. Events
        come in up to a second after they happened; ask again until `settled`.
        """
        read_query(request)
        found = await sending.look_up(tx_id)
        if found is None:
            raise Problem("not_found", "no transaction with this id was sent through this site")
        told = await steps().find(found["id"])
        clusters = [
            {"id": number, "nodes": list(topology().cluster_by_id[number].members)}
            for number in found["clusters"]
        ]
        body = {"id": found["id"], "settled": told.settled, "clusters": clusters, "steps": told.steps}
        return answer(body)
