"""Bodies of test sets, for the schema (:mod:`bankweb.rest.serializers`)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from bankweb.rest.serializers import DocumentField, page_of
from bankweb.testsets import files

STATES = ("ready", "starting", "running", "resharding", "failed")


class RunSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField(help_text="Of the file.")
    created = serializers.DateTimeField()
    clusters = serializers.IntegerField()
    nodes = serializers.IntegerField(help_text="Of each cluster.")
    accounts = serializers.IntegerField()
    balance = serializers.IntegerField(help_text="Of each account at first.")
    state = serializers.ChoiceField(choices=STATES)
    error = serializers.CharField(allow_null=True, help_text="Why the last try failed.")
    sets_total = serializers.IntegerField()
    sets_over = serializers.IntegerField(help_text="Run or skipped.")
    next = serializers.IntegerField(allow_null=True, help_text="Number of the next set; null at the end.")
    commands_over = serializers.IntegerField(help_text="Of the set that is running.")
    commands_total = serializers.IntegerField(help_text="Of the next set.")
    bank = serializers.BooleanField(help_text="Whether it has its bank at the moment.")
    on_show = serializers.BooleanField(help_text="Whether that is the one on show.")
    resharded = serializers.CharField(
        allow_null=True, help_text="What PrintReshard printed after the last set."
    )


class RunDetailSerializer(RunSerializer):
    sets = serializers.ListField(
        child=DocumentField(), help_text="Reports: commands, balances, views, performance, notes."
    )
    skipped = serializers.ListField(child=serializers.IntegerField())


class PrintedSerializer(serializers.Serializer):
    text = serializers.CharField(help_text="What the function prints.")


RunPage = page_of(RunSerializer)

_SIZES: dict[str, Any] = {
    "clusters": {"type": "integer", "minimum": 1, "maximum": files.CLUSTERS_MAX},
    "nodes": {"type": "integer", "minimum": 1, "maximum": files.NODES_MAX},
    "accounts": {"type": "integer", "minimum": 1, "maximum": files.ACCOUNTS_MAX},
    "balance": {"type": "integer", "minimum": 0, "maximum": files.BALANCE_MAX},
    "bank": {
        "type": "string",
        "enum": ["private", "shown"],
        "default": "private",
        "description": "shown: the one on show, reset before each set; it has its own sizes.",
    },
}
FILE_SCHEMA: dict[str, Any] = {
    "oneOf": [
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["file"],
            "properties": {"file": {"type": "string", "description": "One of those shipped."}, **_SIZES},
            "example": {"file": files.COURSE_FILE},
        },
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["content"],
            "properties": {
                "name": {"type": "string", "maxLength": 200},
                "content": {"type": "string", "description": "The CSV text."},
                **_SIZES,
            },
        },
    ]
}
