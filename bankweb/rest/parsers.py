"""Reading bodies: strict JSON, bounded, and nothing else."""

from __future__ import annotations

import io
import json
import math
from typing import IO, Any, Final, cast

import msgspec
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser

from bankweb.rest.problems import Problem

MEDIA_TYPE = "application/json"
DIGITS_MAX: Final = 400


def read_json(request: HttpRequest) -> Any:
    """The body of ``request`` as plain data.

    Raises:
        Problem: wrong content type (415), too large (413), not JSON (400).
    """
    if request.content_type != MEDIA_TYPE:
        raise Problem("unsupported_media_type", f"send the body as {MEDIA_TYPE}", "Content-Type")
    return decode(read_bytes(request))


def read_bytes(request: HttpRequest) -> bytes:
    """The body of ``request``.

    Raises:
        Problem: it is too large (413) or broke off (400).
    """
    try:
        body: bytes = request.body
    except RequestDataTooBig:
        raise too_large(settings.BODY_BYTES_MAX) from None
    except UnreadablePostError as error:
        raise Problem("malformed", "the body broke off") from error
    if len(body) > settings.BODY_BYTES_MAX:
        raise too_large(settings.BODY_BYTES_MAX)
    return body


def too_large(most: int) -> Problem:
    return Problem("too_large", f"a body may have {most} bytes")


class _Body(io.RawIOBase):
    """The body of a request as a file. A large one lies on disk; it is never held as a whole."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._request.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def body_file(request: HttpRequest) -> IO[bytes]:
    """The body of ``request``, to be read once, in a thread."""
    return cast("IO[bytes]", io.BufferedReader(_Body(request)))


def decode(data: bytes) -> Any:
    """Decode JSON as RFC 8259 has it: no NaN, no lone surrogates, nothing after the value.

    Raises:
        Problem: it is not JSON (400).
    """
    try:
        return msgspec.json.decode(data)
    except msgspec.ValidationError:
        # JSON, but a number that fits nothing: decoded again so that whoever checks can name its field.
        return json.loads(data, parse_int=_integer, parse_constant=_constant)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem("malformed", f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Problem("malformed", "the body is nested too deeply") from error


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < DIGITS_MAX else math.inf


def _constant(word: str) -> None:
    raise Problem("malformed", f"the body is not JSON: {word}")


class StrictJsonParser(BaseParser):
    """For DRF and the schema; views read with :func:`read_json`."""

    media_type = MEDIA_TYPE

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return decode(stream.read(settings.BODY_BYTES_MAX + 1))


class JsonOnly(BaseContentNegotiation):
    """Answers are JSON, whatever the request would rather accept."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type
