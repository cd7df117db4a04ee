"""REST: the site's own transfers, and their switch."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse

from bankweb.identity.audit import actor_of
from bankweb.ledger import serializers
from bankweb.ledger.ambient import ambient
from bankweb.rest.fields import mapping, read_query, required
from bankweb.rest.parsers import read_json
from bankweb.rest.problems import invalid, shown
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer

_BODY: Final = frozenset(("on",))


class AmbientTraffic(BankView):
    @documented("Ambient traffic", serializers.AmbientSerializer)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Ten transfers a second of the site's own, so that the bank is never still."""
        read_query(request)
        return answer(ambient().row())

    @documented(
        "Turn ambient traffic on or off",
        serializers.AmbientSerializer,
        body={"application/json": serializers.AMBIENT_SCHEMA},
        errors=(503,),
    )
    async def post(self, request: HttpRequest) -> HttpResponse:
        """It stays so over restarts of the site."""
        read_query(request)
        wanted = required(mapping(read_json(request), _BODY), "on")
        if type(wanted) is not bool:
            raise invalid("on", f"must be true or false, not {shown(wanted)}")
        await ambient().switch(on=wanted, actor=actor_of(request))
        return answer(ambient().row())
