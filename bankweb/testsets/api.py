"""REST: test sets, each file on a private bank."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from bankweb.identity import audit
from bankweb.identity.audit import actor_of
from bankweb.rest.cursors import listed
from bankweb.rest.fields import Param, integer, mapping, no_body, read_query
from bankweb.rest.parsers import read_bytes, read_json
from bankweb.rest.problems import invalid, shown
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer
from bankweb.testsets import files, serializers
from bankweb.testsets.files import Sizes
from bankweb.testsets.runs import FUNCTIONS, Run, runs

FUNCTION = Param("function", "str", "What to print.", "performance", choices=FUNCTIONS)
ARGUMENT = Param(
    "argument", "str", "For printbalance an account, or a range like 1..100; for printlog a node.", ""
)
_BOUNDS: Final = {
    "clusters": (1, files.CLUSTERS_MAX),
    "nodes": (1, files.NODES_MAX),
    "accounts": (1, files.ACCOUNTS_MAX),
    "balance": (0, files.BALANCE_MAX),
}
BANKS: Final = ("private", "shown")
_KNOWN: Final = frozenset(("file", "content", "name", "bank", *_BOUNDS))
_JSON_FILE: Any = {"application/json": serializers.FILE_SCHEMA}


class Testsets(BankView):
    @documented("List the runs of test files", serializers.RunPage)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Newest first; the last 20 are kept until the site restarts."""
        read_query(request)
        return answer(listed(request, [run.summary() for run in runs().newest_first()]))

    @documented("Take a test file in", serializers.RunSerializer, body=_JSON_FILE, errors=(409, 503))
    async def post(self, request: HttpRequest) -> HttpResponse:
        """Either `file`, the name of a shipped one, or `content`. Nothing is run yet: `next` does that.

        A malformed file is refused with `line` and `column` of the fault.
        """
        read_query(request)
        body = mapping(read_json(request), _KNOWN)
        run = _added(body)
        await audit.record(actor_of(request), "testset", {"run": run.id, "name": run.name}, "ok")
        return answer(run.summary())


def _added(body: dict[str, Any]) -> Run:
    if ("file" in body) == ("content" in body):
        raise invalid("file", "give either file or content")
    for name in ("file", "content", "name"):
        if type(body.get(name, "")) is not str:
            raise invalid(name, f"must be text, not {shown(body[name])}")
    bank = body.get("bank", "private")
    if bank not in BANKS:
        raise invalid("bank", f"must be one of {', '.join(BANKS)}, not {shown(bank)}")
    if bank == "shown" and not _BOUNDS.keys().isdisjoint(body):
        raise invalid("bank", "the bank on show has its own sizes")
    given = {name: integer(body[name], name, *_BOUNDS[name]) for name in _BOUNDS if name in body}
    if "file" in body:
        shipped, data = files.read_shipped(body["file"])
        sizes, name = shipped.sizes, shipped.name
    else:
        try:
            data = body["content"].encode()
        except UnicodeEncodeError:
            raise invalid("content", "is not text that UTF-8 can hold") from None
        sizes, name = Sizes(), body.get("name", "")[:200] or "content"
    sizes = Sizes(**{name: getattr(sizes, name) for name in _BOUNDS} | given)
    return runs().add(name, data, sizes, on_show=bank == "shown")


class TestsetDetail(BankView):
    @documented("A run with its reports", serializers.RunDetailSerializer, errors=(404,))
    async def get(self, request: HttpRequest, run: int) -> HttpResponse:
        """How far it is, and the report of each set that was run."""
        read_query(request)
        return answer(runs().get(run).document())


class TestsetNext(BankView):
    @documented("Run the next set", serializers.RunSerializer, errors=(404, 409, 413, 503))
    async def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """Begins it and answers at once: ask for the run until its state is `ready` or `failed`."""
        read_query(request)
        no_body(request, read_bytes(request))
        found = runs().get(run)
        runs().next(found)
        await audit.record(actor_of(request), "testset-next", {"run": run}, "begun")
        return answer(found.summary())


class TestsetSkip(BankView):
    @documented("Leave the next set out", serializers.RunSerializer, errors=(404, 409, 413, 503))
    async def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """The one after it is next."""
        read_query(request)
        no_body(request, read_bytes(request))
        found = runs().get(run)
        number = runs().skip(found)
        await audit.record(actor_of(request), "testset-skip", {"run": run, "set": number}, "ok")
        return answer(found.summary())


class TestsetReshard(BankView):
    @documented("PrintReshard", serializers.RunSerializer, errors=(404, 409, 413, 503))
    async def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """Learn from the traffic of the last set, move accounts; `resharded` says which, once it is over."""
        read_query(request)
        no_body(request, read_bytes(request))
        found = runs().get(run)
        runs().reshard(found)
        await audit.record(actor_of(request), "testset-reshard", {"run": run}, "begun")
        return answer(found.summary())


class TestsetRelease(BankView):
    @documented("Give the bank back", serializers.RunSerializer, errors=(404, 409, 413, 503))
    async def post(self, request: HttpRequest, run: int) -> HttpResponse:
        """A private one is stopped; the one on show is free for others, its nodes mended."""
        read_query(request)
        no_body(request, read_bytes(request))
        found = runs().get(run)
        await runs().release(found)
        await audit.record(actor_of(request), "testset-release", {"run": run}, "ok")
        return answer(found.summary())


class TestsetPrint(BankView):
    @documented(
        "PrintBalance, PrintDB, PrintView, PrintLog, Performance",
        serializers.PrintedSerializer,
        params=(FUNCTION, ARGUMENT),
        errors=(404, 409),
    )
    async def get(self, request: HttpRequest, run: int) -> HttpResponse:
        """Of the run's bank, as its last set left it. 409 while it has none."""
        query = read_query(request, FUNCTION, ARGUMENT)
        text = await runs().print(runs().get(run), query["function"], query["argument"])
        return answer({"text": text})
