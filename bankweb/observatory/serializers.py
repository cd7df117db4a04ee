"""Bodies of recordings, for the schema (:mod:`bankweb.rest.serializers`)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from bankweb.rest.schema import optional
from bankweb.rest.serializers import DocumentField
from consensus.trace.events import SOURCES

SAVE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": optional(
        {"id": {"type": "string", "description": "The live recording if it is left out."}}
    ),
    "additionalProperties": False,
}


class RecordingSerializer(serializers.Serializer):
    """A recording; times are UTC microseconds."""

    id = serializers.CharField()
    run = serializers.CharField(help_text="Of its header.")
    src = serializers.ChoiceField(choices=SOURCES)
    saved = serializers.BooleanField(help_text="Stays until it is deleted.")
    seed = serializers.IntegerField()
    start = serializers.IntegerField()
    end = serializers.IntegerField()
    first = serializers.IntegerField(help_text="Its first order number.")
    last = serializers.IntegerField()
    truncated = serializers.BooleanField(help_text="Its start is gone.")
    bytes = serializers.IntegerField(help_text="On disk.")


class RecordingPage(serializers.Serializer):
    results = RecordingSerializer(many=True)


class RecordedEventsSerializer(serializers.Serializer):
    events = serializers.ListField(child=DocumentField())
    next = serializers.IntegerField(
        allow_null=True, help_text="Value of `after` for the rest; null at the end."
    )


class StateSerializer(serializers.Serializer):
    t = serializers.IntegerField()
    q = serializers.IntegerField()
    state = DocumentField()
