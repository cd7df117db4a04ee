"""The pages that show the bank: cluster and help."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from bankweb.ledger import kept
from bankweb.ledger.forms import TransferForm
from bankweb.orchestration import processes
from bankweb.orchestration.nodes import cluster_rows
from bankweb.rest.problems import KINDS


async def cluster(request: HttpRequest) -> HttpResponse:
    """``/``: every node, and a form for a quick transfer. Template ``cluster.html``.

    Context:
        clusters: list of ``{"id", "first_account", "last_account", "leader" (0 unknown), "ballot"
            ([round, node] or None), "nodes"}``; ``nodes`` as :func:`bankweb.orchestration.nodes.node_row`
            documents.
        form: :class:`bankweb.ledger.forms.TransferForm` (``sender``, ``receiver``, ``amount``); posts to
            ``transactions`` with a hidden ``next`` = ``cluster`` to come back here.
        outcome: the transaction sent a moment ago (``?tx=<id>``), as
            :func:`bankweb.ledger.kept.describe` documents, or None.
        next: ``"cluster"``.

    ``HX-Request``: ``partials/nodes.html`` with ``clusters`` only.
    """
    await processes.refresh()
    if request.headers.get("HX-Request"):
        return render(request, "partials/nodes.html", {"clusters": cluster_rows()})
    context = {
        "clusters": cluster_rows(),
        "form": TransferForm(),
        "outcome": await kept.find(request.GET.get("tx", "")),
        "next": "cluster",
    }
    return render(request, "cluster.html", context)


async def help_page(request: HttpRequest) -> HttpResponse:
    """``/help/``: legend, glossary, shortcuts, the API. Template ``help.html``.

    Context:
        problems: errors of REST, a list of ``{"code", "status", "title"}``; each document's ``type`` points
            to ``#problem-<code>`` of this page.
    """
    await processes.refresh()
    problems = [{"code": code, **kind._asdict()} for code, kind in KINDS.items()]
    return render(request, "help.html", {"problems": problems})
