"""Bodies of recordings, for the schema (:mod:`bankweb.rest.serializers`)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from bankweb.rest.schema import optional
from bankweb.rest.serializers import DocumentField
from consensus.trace.events import SOURCES
from consensus.trace.transactions import OUTCOMES

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


class RecordedTransactionSerializer(serializers.Serializer):
    """One transaction, as the events of a recording tell of it."""

    id = serializers.CharField()
    ts = serializers.IntegerField(help_text="Of its earliest event, UTC microseconds.")
    q = serializers.IntegerField(help_text="Order number of that event.")
    outcome = serializers.CharField(help_text=f"{', '.join(OUTCOMES)}; `unknown`: no event says.")
    why = serializers.CharField(help_text="Why it was aborted; empty otherwise.")
    amt = serializers.IntegerField(help_text="0: not told, like the two accounts.")
    parties = serializers.IntegerField(help_text="How many accounts it touches, as far as events say.")
    ms = serializers.FloatField(allow_null=True, help_text="From asked to answered, at the leader.")
    clusters = serializers.ListField(
        child=serializers.IntegerField(), help_text="Those that worked on it, the coordinating one first."
    )
    kept = serializers.BooleanField(help_text="Recorded in full, because a person sent it.")
    ambient = serializers.BooleanField(help_text="One of the site's own transfers.")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        # Names that are words of the language.
        return {**fields, "from": serializers.IntegerField(), "to": serializers.IntegerField()}


class RecordedTransactionsSerializer(serializers.Serializer):
    transactions = RecordedTransactionSerializer(many=True)
    next = serializers.IntegerField(
        allow_null=True, help_text="Value of `before` for older ones; null at the end."
    )
    left_out = serializers.IntegerField(help_text="Older ones that are not listed: there are too many.")


class RecordedClusterSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    nodes = serializers.ListField(child=serializers.IntegerField())


class RecordedStepsSerializer(RecordedTransactionSerializer):
    clusters = RecordedClusterSerializer(
        many=True, help_text="Those that worked on it, the coordinating one first."
    )
    steps = serializers.ListField(
        child=DocumentField(), help_text="Trace events of schema v1, in order; times in UTC microseconds."
    )
