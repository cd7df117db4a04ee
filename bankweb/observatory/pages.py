"""The pages that show the bank: cluster, consensus and help."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from bankweb.lab.cards import cards
from bankweb.ledger import kept
from bankweb.ledger.ambient import ambient
from bankweb.ledger.forms import TransferForm
from bankweb.observatory import recording_pages
from bankweb.orchestration import processes
from bankweb.orchestration.bank import topology
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
        ambient: as :meth:`bankweb.ledger.ambient.Ambient.row`.
        stories: :func:`bankweb.lab.cards.cards`.

    ``HX-Request``: ``partials/nodes.html`` with ``clusters`` only. ``?recording=<id>&t=&q=``: the same page
    on a recording (:func:`bankweb.observatory.recording_pages.cluster`).
    """
    if "recording" in request.GET:
        return await recording_pages.cluster(request, request.GET["recording"])
    await processes.refresh()
    if request.headers.get("HX-Request"):
        return render(request, "partials/nodes.html", {"clusters": cluster_rows()})
    context = {
        "clusters": cluster_rows(),
        "form": TransferForm(),
        "outcome": await kept.find(request.GET.get("tx", "")),
        "next": "cluster",
        "ambient": ambient().row(),
        "stories": cards(),
    }
    return render(request, "cluster.html", context)


async def consensus_first(request: HttpRequest) -> HttpResponse:
    """``/consensus/``: the page of the first cluster."""
    return redirect("consensus", topology().clusters[0].id)


async def consensus(request: HttpRequest, cluster: int) -> HttpResponse:
    """``/consensus/<cluster>/?recording=&t=&q=&slot=&ballot=&show=``: one Paxos group, live or recorded.

    Template ``consensus.html``; the page fills in all that it shows from the state on view.

    Context:
        cluster: its number; ``clusters``: the numbers of all.
        of a recording, further what :func:`bankweb.observatory.recording_pages.moment` gives.
    """
    context: dict[str, Any] = {"cluster": cluster}
    if "recording" in request.GET:
        context |= await recording_pages.moment(request.GET["recording"])
        clusters = [known["id"] for known in context["topology"]["clusters"]]
    else:
        await processes.refresh()
        clusters = [known.id for known in topology().clusters]
    if cluster not in clusters:
        raise Http404(f"there is no cluster {cluster}")
    return render(request, "consensus.html", {**context, "clusters": clusters})


async def help_page(request: HttpRequest) -> HttpResponse:
    """``/help/``: legend, glossary, shortcuts, the API. Template ``help.html``.

    Context:
        problems: errors of REST, a list of ``{"code", "status", "title"}``; each document's ``type`` points
            to ``#problem-<code>`` of this page.
    """
    await processes.refresh()
    problems = [{"code": code, **kind._asdict()} for code, kind in KINDS.items()]
    return render(request, "help.html", {"problems": problems})
