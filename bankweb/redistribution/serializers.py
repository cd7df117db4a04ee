"""Bodies of redistributions, for the schema (:mod:`bankweb.rest.serializers`)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from bankweb.redistribution.observing import WAIT_MAX_S
from bankweb.rest.serializers import DocumentField, page_of

STATUSES = ("planning", "planned", "refused", "running", "paused", "done", "aborted", "failed")


class FiguresSerializer(serializers.Serializer):
    cross_shard_pct = serializers.FloatField(help_text="Percent of the transactions that touch two clusters.")
    load_imbalance_pct = serializers.FloatField(help_text="How far the busiest cluster is above the mean.")
    account_imbalance_pct = serializers.FloatField()
    throughput_tps = serializers.FloatField(
        allow_null=True,
        required=False,
        help_text="Committed per second; predicted: of a load that takes what it gets. Null: nobody trades.",
    )
    window = serializers.IntegerField(help_text="Transactions these figures rest on.")


class ProgressSerializer(serializers.Serializer):
    moved = serializers.IntegerField()
    total = serializers.IntegerField()
    eta_s = serializers.FloatField(allow_null=True)


class ObservingSerializer(serializers.Serializer):
    transactions = serializers.IntegerField(help_text="In the window.")
    needed = serializers.IntegerField(help_text="About so many, for a plan.")
    eta_s = serializers.FloatField(allow_null=True, help_text="Null: not at this rate.")


class RedistributionSerializer(serializers.Serializer):
    id = serializers.CharField()
    plan = serializers.CharField(help_text="Digest of the moves.")
    status = serializers.ChoiceField(choices=STATUSES)
    reason = serializers.CharField(allow_null=True, help_text="Why it was refused, or failed.")
    origin = serializers.ChoiceField(choices=("hand", "automatic", "rollback"))
    undoes = serializers.CharField(allow_null=True, help_text="Of a rollback: what it takes back.")
    actor = serializers.CharField()
    created = serializers.DateTimeField()
    started = serializers.DateTimeField(allow_null=True)
    ended = serializers.DateTimeField(allow_null=True)
    options = DocumentField()
    observing = ObservingSerializer(allow_null=True, help_text="While it waits for traffic.")
    progress = ProgressSerializer()
    before = FiguresSerializer(allow_null=True)
    predicted = FiguresSerializer(
        allow_null=True, help_text="The share is the one to expect on traffic the plan has not seen."
    )
    observed = FiguresSerializer(allow_null=True, help_text="Of the seconds after the last move.")


class RedistributionDetailSerializer(RedistributionSerializer):
    moves = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()), help_text="[account, from, to]."
    )
    table = serializers.ListField(child=DocumentField(), help_text="What the first so many moves bring.")
    series = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(allow_null=True)),
        help_text="Seconds since the start, percent across, accounts moved, commits per second, p99 in ms.",
    )


RedistributionPage = page_of(RedistributionSerializer)


class MoveSerializer(serializers.Serializer):
    account = serializers.IntegerField()

    def get_fields(self) -> Any:
        fields = super().get_fields()
        fields["from"] = serializers.IntegerField()
        fields["to"] = serializers.IntegerField()
        fields["saved"] = serializers.IntegerField(help_text="Transactions that stop crossing.")
        fields["partners_here"] = serializers.IntegerField(help_text="Shared with its old cluster.")
        fields["partners_there"] = serializers.IntegerField(help_text="Shared with its new one.")
        fields["load"] = serializers.IntegerField(help_text="Accesses that go with it.")
        return fields


MovePage = page_of(MoveSerializer)


class LevelsSerializer(serializers.Serializer):
    method = serializers.CharField(allow_null=True)
    events = serializers.ListField(child=DocumentField(), help_text="hg.level, hg.moves, hg.quality.")
    snapshot = DocumentField(help_text="Busiest accounts, heaviest nets: vertices, nets.", allow_null=True)
    course = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()),
        help_text="Moves made, km1 then, percent the heaviest cluster is above the mean: load, accounts.",
    )


class ShardMapSerializer(serializers.Serializer):
    epoch = serializers.IntegerField()
    moved = serializers.IntegerField(help_text="Accounts that have changed their owner.")
    accounts = serializers.IntegerField()
    clusters = serializers.ListField(child=DocumentField())
    ranges = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()), help_text="[first, last, cluster]."
    )
    per_cell = serializers.IntegerField(help_text="Accounts of one cell.")
    cells = serializers.ListField(child=serializers.IntegerField(), help_text="Cluster of each cell.")
    heat = serializers.ListField(child=serializers.IntegerField(), help_text="Accesses of each cell.")
    recent_s = serializers.FloatField(help_text="The seconds that heat counts.")
    moving = serializers.ListField(child=DocumentField(), help_text="On their way: account, from, to.")


class AccessStatsSerializer(serializers.Serializer):
    half_life_s = serializers.FloatField()
    transactions = serializers.IntegerField(help_text="Of the fading window.")
    active = serializers.IntegerField(help_text="Accounts in them.")
    reads = serializers.IntegerField()
    silent = serializers.ListField(
        child=serializers.IntegerField(), help_text="Nodes that did not answer: what they know is missing."
    )
    missed = serializers.IntegerField(help_text="Entries that nodes forgot before they were asked.")
    cross_shard_pct = serializers.FloatField(allow_null=True)
    clusters = serializers.ListField(child=DocumentField())
    recent_s = serializers.FloatField()
    hot = serializers.ListField(child=DocumentField(), help_text="account, cluster, count.")
    history = DocumentField(help_text="Rows by age from the newest, columns of neighbouring accounts.")


class ReasonSerializer(serializers.Serializer):
    account = serializers.IntegerField()
    place = serializers.IntegerField(help_text="In the order of moves, from 1.")
    of = serializers.IntegerField()
    saved = serializers.IntegerField(help_text="Transactions of the window that cross no more.")
    partners_here = serializers.IntegerField(help_text="Transactions shared with accounts where it was.")
    partners_there = serializers.IntegerField(help_text="With accounts where it goes, at its turn.")
    load = serializers.IntegerField(help_text="Accesses that go with it.")
    window = serializers.IntegerField(allow_null=True)
    partners = serializers.ListField(child=DocumentField(), help_text="Whom it trades with most.")
    from_plan = serializers.BooleanField(help_text="false: partners are those of the traffic now.")
    load_pct = serializers.ListField(
        child=DocumentField(), allow_null=True, help_text="cluster, before, after: percent of the load."
    )
    undoes = serializers.CharField(allow_null=True)
    part = serializers.IntegerField(allow_null=True)
    phase = serializers.CharField(allow_null=True)
    moved = serializers.BooleanField()
    began_us = serializers.IntegerField(allow_null=True, help_text="UTC microseconds.")
    took_ms = serializers.FloatField(allow_null=True)
    together = serializers.IntegerField(help_text="Accounts that went with the same part.")


class TriggerSerializer(serializers.Serializer):
    on = serializers.BooleanField()
    high_pct = serializers.FloatField()
    low_pct = serializers.FloatField()
    load_high_pct = serializers.FloatField()
    window_s = serializers.FloatField()
    cooldown_s = serializers.FloatField()
    armed = serializers.BooleanField()
    said = serializers.CharField(help_text="What it thought of the last window.")


PLAN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "dry_run": {"type": "boolean", "default": True, "description": "false: carry it out at once."},
        "max_moves": {"type": "integer", "minimum": 0, "maximum": 10_000_000},
        "price": {"type": "number", "minimum": 0, "maximum": 1_000},
        "epsilon": {"type": "number", "minimum": 0.001, "maximum": 1},
        "load_epsilon": {"type": "number", "minimum": 0.001, "maximum": 10, "nullable": True},
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        "wait_s": {
            "type": "number",
            "minimum": 0,
            "maximum": WAIT_MAX_S,
            "default": 0,
            "description": "While traffic comes: wait so long for a window that is not too thin.",
        },
    },
    "example": {"dry_run": True},
}
TRIGGER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "on": {"type": "boolean"},
        "high_pct": {"type": "number", "minimum": 0, "maximum": 100},
        "low_pct": {"type": "number", "minimum": 0, "maximum": 100},
        "load_high_pct": {"type": "number", "minimum": 0, "maximum": 10_000},
        "window_s": {"type": "number", "minimum": 1, "maximum": 3_600},
        "cooldown_s": {"type": "number", "minimum": 0, "maximum": 86_400},
    },
}
