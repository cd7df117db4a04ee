"""Lists in pages: ``{"results": […], "next": address or null}``."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest

from bankweb.rest.fields import Param

PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1_000

CURSOR: Final = Param("cursor", "int", "Where to go on: taken from `next` of the page before.")
LIMIT: Final = Param("limit", "int", "Entries of a page.", PAGE_DEFAULT, 1, PAGE_MAX)


def listed(request: HttpRequest, results: list[Any], cursor: int | None = None) -> dict[str, Any]:
    """The body of a page. ``cursor`` None: it is the last."""
    if cursor is None:
        return {"results": results, "next": None}
    query = request.GET.copy()
    query["cursor"] = str(cursor)
    return {"results": results, "next": f"{request.path}?{query.urlencode()}"}
