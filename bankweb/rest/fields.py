"""Checks of what comes in: bodies and query strings, each wrong field named, unknown ones refused.

Written out by hand: a batch of ten thousand transfers has to be checked in a few milliseconds. The
OpenAPI schema says the same through the serializers (bodies) and :func:`Param.documented` (queries).
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from bankweb.rest.problems import Problem, invalid, shown

_INTEGER: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
INT64_MAX: Final = 2**63 - 1


def mapping(value: Any, known: frozenset[str], where: str = "") -> dict[str, Any]:
    """``value`` if it is an object that has only ``known`` members.

    Raises:
        Problem: it is not, or has others (400).
    """
    if type(value) is not dict:
        raise invalid(where or "body", f"must be an object, not {shown(value)}")
    if not value.keys() <= known:
        name = min(value.keys() - known)
        field = shown(name)[1:-1]
        raise invalid(
            f"{where}.{field}" if where else field, f"is unknown; known are {', '.join(sorted(known))}"
        )
    return value


def integer(value: Any, field: str, least: int, most: int) -> int:
    """``value`` if it is a JSON integer within bounds; 5.0 and "5" are none.

    Raises:
        Problem: it is not (400).
    """
    if type(value) is not int:
        raise invalid(field, f"must be an integer, not {shown(value)}")
    if not least <= value <= most:
        raise invalid(field, f"must be {least}..{most}, not {shown(value)}")
    return value


def required(body: dict[str, Any], name: str, where: str = "") -> Any:
    """The member ``name``.

    Raises:
        Problem: it is missing (400).
    """
    if name not in body:
        raise invalid(f"{where}.{name}" if where else name, "is missing")
    return body[name]


class Param(NamedTuple):
    """A query parameter: an integer, a flag, one or some of ``choices``, or text of up to 200 characters.

    ``default`` None: it may be left out and is then None. ``kind``: ``int``, ``bool``, ``str``, ``list``
    (some of ``choices``, separated by commas; it is read as a list).
    """

    name: str
    kind: str
    text: str
    default: Any = None
    least: int = 0
    most: int = INT64_MAX
    choices: tuple[str, ...] = ()

    def documented(self) -> OpenApiParameter:
        """The parameter as the OpenAPI schema shows it."""
        if self.kind == "list":
            items = {"type": "array", "items": {"type": "string", "enum": list(self.choices)}, "minItems": 1}
            return OpenApiParameter(self.name, items, description=self.text, style="form", explode=False)
        described: Any = {"int": OpenApiTypes.INT64, "bool": OpenApiTypes.BOOL, "str": OpenApiTypes.STR}[
            self.kind
        ]
        if self.kind == "int":
            described = {"type": "integer", "minimum": self.least, "maximum": self.most}
        elif self.kind == "str" and not self.choices:
            described = {"type": "string", "maxLength": TEXT_MAX}
        return OpenApiParameter(
            self.name, described, description=self.text, default=self.default, enum=self.choices or None
        )

    def read(self, text: str) -> Any:
        """The value that ``text`` stands for.

        Raises:
            Problem: it stands for none (400).
        """
        if self.kind == "int":
            if not _INTEGER.fullmatch(text):
                raise invalid(self.name, f"must be an integer, not {shown(text)}")
            return integer(int(text), self.name, self.least, self.most)
        if self.kind == "bool":
            if text not in _BOOLEANS:
                raise invalid(self.name, f"must be true or false, not {shown(text)}")
            return _BOOLEANS[text]
        if self.kind == "list":
            return [self._one(part) for part in text.split(",")]
        if self.choices:
            return self._one(text)
        if len(text) > TEXT_MAX or "\x00" in text:
            raise invalid(self.name, f"must be text of up to {TEXT_MAX} characters without NUL")
        return text

    def _one(self, text: str) -> str:
        if text not in self.choices:
            raise invalid(self.name, f"must be one of {', '.join(self.choices)}, not {shown(text)}")
        return text


TEXT_MAX: Final = 200


def read_query(request: HttpRequest, *params: Param) -> dict[str, Any]:
    """Values of all of ``params``, from the query string or their defaults.

    Raises:
        Problem: one is wrong, unknown, or stands twice (400).
    """
    values = {param.name: param.default for param in params}
    by_name = {param.name: param for param in params}
    for name, texts in request.GET.lists():
        param = by_name.get(name)
        if param is None:
            known = ", ".join(by_name) or "none"
            raise invalid(shown(name)[1:-1], f"is not a parameter of this address; known: {known}")
        if len(texts) != 1:
            raise invalid(name, "stands more than once")
        values[name] = param.read(texts[0])
    return values


def no_body(request: HttpRequest, data: bytes) -> None:
    """Refuse a body where none is taken; ``{}`` passes.

    Raises:
        Problem: there is one (400).
    """
    if data.strip() not in (b"", b"{}"):
        raise Problem("invalid", "body: this address takes none", "body")
