"""The same transaction once more, as a command line, as Python, for the shell."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest
from django.urls import reverse


def snippets(request: HttpRequest, about: dict[str, Any]) -> dict[str, str] | None:
    """``{"curl", "python", "shell"}`` for a transaction of :mod:`bankweb.ledger.kept`; None without its legs.

    The token is named, not shown: these texts get pasted into other places.
    """
    if not about["legs"]:
        return None
    body: dict[str, Any] = {"legs": about["legs"]}
    shell = f"# bankshell sends two-leg transfers only; this one has {len(about['legs'])} legs"
    if about["amount"] is not None:
        body = {name: about[name] for name in ("sender", "receiver", "amount")}
        shell = f"send {about['sender']} {about['receiver']} {about['amount']}"
    url = request.build_absolute_uri(reverse("api-transactions"))
    text = json.dumps(body)
    curl = (
        f'curl -X POST {url} \\\n  -H "Authorization: Token $TOKEN" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d '{text}'"
    )
    python = (
        "import json, os, urllib.request\n\n"
        f'request = urllib.request.Request("{url}", json.dumps({body}).encode(), {{\n'
        '    "Authorization": "Token " + os.environ["TOKEN"],\n    "Content-Type": "application/json",\n})\n'
        "print(urllib.request.urlopen(request).read().decode())"
    )
    return {"curl": curl, "python": python, "shell": shell}
