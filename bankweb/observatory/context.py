"""What every page is given, besides its own keys (listed at the page's view).

Keys of every page:

``page``
    ``cluster``, ``consensus``, ``transactions``, ``transaction``, ``testsets``, ``testset``,
    ``testset-print``, ``shards``, ``redistributions``, ``redistribution``, ``benchmarks``, ``benchmark``,
    ``compare``, ``recordings``, ``recording``, ``help``,
    ``reset``, ``sign-in`` or ``error``. ``mode``
    ``live`` (``replay`` and ``sim`` come with their pages).
``bank``
    ``{"clusters": int, "nodes": int, "accounts": int, "initial_balance": int}``.
``faults``
    Active faults, a list of ``{"kind": "failed|killed|paused|link", "node": int, "to": int | None,
    "text": str}``; ``to`` is set for links only. Empty when all is well.
``experiments``
    Who has the bank on show, and who waits: :meth:`bankweb.orchestration.experiments.Experiments.row`.
``csp_nonce``
    Goes into ``nonce="…"`` of inline scripts (the import map); nothing else inline may run.
``live_path``
    ``/ws/live/``, the websocket path of :mod:`bankweb.observatory.consumers`.
``actor``
    Name of who is signed in, "" for nobody.

Besides these: ``request``, ``messages``, ``csrf_token`` from Django.

Names of URLs (``{% url %}``): ``cluster``, ``consensus-first``, ``consensus`` (cluster),
``transactions``, ``transaction`` (id), ``testsets``,
``testset``, ``testset-next``, ``testset-skip``, ``testset-print`` (run), ``node-action`` (node,
action), ``link-fault``, ``heal``, ``reset``, ``help``, ``sign-in``, ``sign-out``, ``api-docs``,
``api-schema``.

A request with ``HX-Request`` gets the fragment named at the view in place of the page. After a
change, its answer carries ``HX-Trigger``: ``transaction-kept`` (the list of transactions changed) or
``nodes-changed`` (somebody acted on nodes or links). Fragments that follow a change are given
``messages``, so that they can swap the toasts out of band.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from bankweb.orchestration import faults
from bankweb.orchestration.bank import topology
from bankweb.orchestration.experiments import experiments


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor: the keys above that do not depend on the page."""
    bank = topology()
    match = request.resolver_match
    return {
        "page": match.url_name if match and match.url_name else "error",
        "mode": "live",
        "bank": {
            "clusters": len(bank.clusters),
            "nodes": len(bank.nodes),
            "accounts": bank.accounts,
            "initial_balance": bank.initial_balance,
        },
        "faults": faults.active(),
        "experiments": experiments().row(),
        "csp_nonce": getattr(request, "csp_nonce", ""),
        "live_path": "/ws/live/",
        "actor": getattr(request, "actor", ""),
    }
