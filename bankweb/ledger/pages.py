"""The transactions pages: send, list, look at one. They work without script."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bankweb.identity.audit import actor_of
from bankweb.ledger import kept, sending
from bankweb.ledger.ambient import ambient
from bankweb.ledger.forms import FilterForm, TransferForm
from bankweb.ledger.snippets import snippets
from bankweb.orchestration import processes
from bankweb.store import StoreError


@require_http_methods(["GET", "HEAD", "POST"])
async def transactions(request: HttpRequest) -> HttpResponse:
    """``/transactions/``: form and list. Template ``transactions.html``.

    Context:
        form: :class:`bankweb.ledger.forms.TransferForm`.
        outcome: the transaction sent a moment ago (``?tx=<id>``) or None.
        next: ``"transactions"``.
        transactions: newest first, each as :func:`bankweb.ledger.kept.describe` documents.
        filters: :class:`bankweb.ledger.forms.FilterForm` (``outcome``, ``account``), bound to the query.
        next_url: where older ones are, "" at the end.
        kept_max: how many are kept in all.

    ``HX-Request`` GET: ``partials/transactions_list.html`` with ``transactions``, ``filters``,
    ``next_url``, ``kept_max``. POST sends a transfer (``sender``, ``receiver``, ``amount``, ``next`` =
    ``cluster`` or ``transactions``) and redirects to ``next`` with ``?tx=<id>``; a form with errors is
    shown again with status 422. ``HX-Request`` POST: ``partials/transfer.html`` with ``form``,
    ``outcome``, ``next``.
    """
    if request.method == "POST":
        return await _send(request)
    await processes.refresh()
    filters = FilterForm(request.GET)
    page = await kept.page(filters.values(), request.GET.get("cursor", ""))
    context = {
        "transactions": page.rows,
        "filters": filters,
        "next_url": f"{reverse('transactions')}?{urlencode({**filters.values(), 'cursor': page.next})}"
        if page.next
        else "",
        "kept_max": kept.kept_max(),
    }
    if request.headers.get("HX-Request"):
        return render(request, "partials/transactions_list.html", context)
    context |= {
        "form": TransferForm(),
        "outcome": await kept.find(request.GET.get("tx", "")),
        "next": "transactions",
    }
    return render(request, "transactions.html", context)


async def _send(request: HttpRequest) -> HttpResponse:
    came_from = "cluster" if request.POST.get("next") == "cluster" else "transactions"
    is_htmx = bool(request.headers.get("HX-Request"))
    form = TransferForm(request.POST)
    outcome = None
    if form.is_valid():
        answer = await sending.from_form(actor_of(request), form.transfer(), form.cleaned_data["key"])
        if answer.error:
            form.add_error(None, answer.error)
        else:
            outcome = answer.transaction
            if not is_htmx:
                messages.add_message(request, _level(outcome["outcome"]), outcome["text"])
                return redirect(f"{reverse(came_from)}?{urlencode({'tx': outcome['id']})}")
            repeat = {name: form.cleaned_data[name] for name in ("sender", "receiver", "amount")}
            form = TransferForm(initial=repeat)
    context = {"form": form, "outcome": outcome, "next": came_from}
    status = 200 if outcome else 422
    if is_htmx:
        response = render(request, "partials/transfer.html", context, status=status)
        if outcome:
            response["HX-Trigger"] = "transaction-kept"
        return response
    page = await kept.page({}, "")
    context |= {
        "transactions": page.rows,
        "filters": FilterForm({}),
        "next_url": "",
        "kept_max": kept.kept_max(),
        "next": "transactions",
    }
    return render(request, "transactions.html", context, status=status)


def _level(outcome: str) -> int:
    return {"committed": messages.SUCCESS, "aborted": messages.WARNING}.get(outcome, messages.ERROR)


@require_safe
async def transaction(request: HttpRequest, tx_id: str) -> HttpResponse:
    """``/transactions/<id>/``: one transaction. Template ``transaction.html``.

    Context:
        transaction: as :func:`bankweb.ledger.kept.describe` documents. An ``unknown`` one is resolved
            on the way, so that reloading the page makes it final.
        snippets: the same transfer as ``{"curl": str, "python": str, "shell": str}``, or None when
            its legs are not known here.

    ``HX-Request``: ``partials/transaction.html`` with the same context.
    """
    await processes.refresh()
    found = await sending.look_up(tx_id)
    if found is None:
        raise Http404(f"no transaction {tx_id[:80]} is known here")
    context = {"transaction": found, "snippets": snippets(request, found)}
    template = "partials/transaction.html" if request.headers.get("HX-Request") else "transaction.html"
    return render(request, template, context)


@require_POST
async def ambient_switch(request: HttpRequest) -> HttpResponse:
    """``/ambient/``: field ``on``, 1 or 0; goes back to ``/``. ``HX-Request``: ``partials/ambient.html``.

    Context: ``ambient``, as :meth:`bankweb.ledger.ambient.Ambient.row`; ``messages``.
    """
    wanted = request.POST.get("on") == "1"
    try:
        await ambient().switch(on=wanted, actor=actor_of(request))
        messages.success(request, f"Ambient traffic is {'on' if wanted else 'off, and stays off'}.")
    except StoreError as error:
        messages.error(request, str(error))
    if request.headers.get("HX-Request"):
        return render(request, "partials/ambient.html", {"ambient": ambient().row()})
    return redirect("cluster")
