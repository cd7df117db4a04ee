"""Building blocks of the serializers that describe REST bodies.

Serializers describe; they do not check. Bodies are checked by :mod:`bankweb.rest.fields`, which is
stricter ("5" is no integer) and fast enough for large batches.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


@extend_schema_field(
    {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2, "example": [1, 1]}
)
class BallotField(serializers.Field):
    """``[round, node]``."""


@extend_schema_field({"type": "object", "additionalProperties": True})
class DocumentField(serializers.Field):
    """A JSON object whose members vary."""


def page_of(item: type[serializers.Serializer[Any]]) -> Any:
    """A serializer of pages of ``item``."""
    name = item.__name__.removesuffix("Serializer")
    fields = {
        "results": item(many=True),
        "next": serializers.CharField(
            allow_null=True, help_text="Address of the next page; null at the end."
        ),
    }
    return type(f"{name}PageSerializer", (serializers.Serializer,), fields)
