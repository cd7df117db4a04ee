"""Forms that act on nodes and links. They are POST only, redirect to ``/`` and leave a message.

With ``HX-Request`` the answer is ``partials/nodes.html`` with ``clusters``
(:func:`bankweb.orchestration.nodes.cluster_rows`) and ``messages``, and carries
``HX-Trigger: nodes-changed``.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from bankweb.identity.audit import actor_of
from bankweb.orchestration import actions
from bankweb.orchestration.forms import LinkForm
from bankweb.orchestration.nodes import cluster_rows
from bankweb.rest.problems import Problem
from bankweb.store import StoreError


@require_POST
async def node_action(request: HttpRequest, node: int, action: str) -> HttpResponse:
    """``/nodes/<node>/<action>/``: fail, recover, kill, restart, pause, resume. No fields."""
    try:
        text = await actions.act_on_node(actor_of(request), node, action)
    except (Problem, StoreError) as error:
        return _done(request, messages.ERROR, str(error))
    return _done(request, messages.SUCCESS, text)


@require_POST
async def link_fault(request: HttpRequest) -> HttpResponse:
    """``/links/``: fields of :class:`LinkForm`: source, target, both, cut, delay_ms, loss."""
    form = LinkForm(request.POST)
    if not form.is_valid():
        text = "; ".join(f"{field}: {' '.join(errors)}" for field, errors in form.errors.items())
        return _done(request, messages.ERROR, text)
    try:
        text = await actions.set_link(actor_of(request), form.link())
    except (Problem, StoreError) as error:
        return _done(request, messages.ERROR, str(error))
    return _done(request, messages.SUCCESS, text)


@require_POST
async def heal(request: HttpRequest) -> HttpResponse:
    """``/heal/``: end every fault. No fields."""
    try:
        text = await actions.heal(actor_of(request))
    except (Problem, StoreError) as error:
        return _done(request, messages.ERROR, str(error))
    return _done(request, messages.SUCCESS, text)


@require_http_methods(["GET", "HEAD", "POST"])
async def reset(request: HttpRequest) -> HttpResponse:
    """``/reset/``: GET asks (template ``reset.html``), POST does it. No fields, no further context."""
    if request.method != "POST":
        return render(request, "reset.html")
    try:
        text = await actions.reset(actor_of(request))
    except (Problem, StoreError) as error:
        return _done(request, messages.ERROR, str(error))
    return _done(request, messages.SUCCESS, text)


def _done(request: HttpRequest, level: int, text: str) -> HttpResponse:
    messages.add_message(request, level, text)
    if not request.headers.get("HX-Request"):
        return redirect("cluster")
    response = render(request, "partials/nodes.html", {"clusters": cluster_rows()})
    response["HX-Trigger"] = "nodes-changed"
    return response
