"""A request of REST once more, as a command line and as Python, to be copied from a page."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest
from django.urls import reverse


def posting(request: HttpRequest, view: str, body: dict[str, Any]) -> dict[str, str]:
    """``{"curl", "python"}`` that POST ``body`` to the address of ``view``, on the site that was asked.

    The token is named, not shown: these texts get pasted into other places.
    """
    url = request.build_absolute_uri(reverse(view))
    # A quote inside a quoted word of the shell: out of the quotes, escaped, and in again.
    text = json.dumps(body).replace("'", "'\\''")
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
    return {"curl": curl, "python": python}
