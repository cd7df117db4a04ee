"""The same transaction once more, as a command line, as Python, for the shell."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from bankweb.rest.snippets import posting


def snippets(request: HttpRequest, about: dict[str, Any]) -> dict[str, str] | None:
    """``{"curl", "python", "shell"}`` for one of :mod:`bankweb.ledger.kept`; None without its legs."""
    if not about["legs"]:
        return None
    body: dict[str, Any] = {"legs": about["legs"]}
    shell = f"# bankshell sends two-leg transfers only; this one has {len(about['legs'])} legs"
    if about["amount"] is not None:
        body = {name: about[name] for name in ("sender", "receiver", "amount")}
        shell = f"send {about['sender']} {about['receiver']} {about['amount']}"
    return {**posting(request, "api-transactions", body), "shell": shell}
