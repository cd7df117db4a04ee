"""Bodies of nodes, clusters and faults, for the schema (:mod:`bankweb.rest.serializers`)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from bankweb.orchestration.forms import DELAY_MS_MAX
from bankweb.rest.serializers import BallotField, DocumentField, page_of

STATES = ("up", "failed", "paused", "killed", "down")


class NodeSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    cluster = serializers.IntegerField()
    host = serializers.CharField()
    port = serializers.IntegerField()
    connected = serializers.BooleanField(help_text="Whether its control connection to the site is open.")
    age_s = serializers.FloatField(allow_null=True, help_text="Since its last report.")
    state = serializers.ChoiceField(choices=STATES)
    role = serializers.CharField(
        allow_blank=True, help_text="leader, follower, candidate, learner; empty: unknown."
    )
    ballot = BallotField(allow_null=True)
    leader = serializers.IntegerField(help_text="Whom it follows; 0: unknown.")
    watermark = serializers.IntegerField(help_text="Highest slot up to which all are chosen.")
    applied = serializers.IntegerField()
    proposed = serializers.IntegerField()
    checkpoint = serializers.IntegerField()
    lag = serializers.IntegerField(help_text="Chosen slots that it has not applied.")
    queue = serializers.IntegerField()
    in_flight = serializers.IntegerField()
    sessions = serializers.IntegerField()
    epoch = serializers.IntegerField()
    incarnation = serializers.IntegerField()
    journal_bytes = serializers.IntegerField()
    uptime_s = serializers.FloatField()
    clock = DocumentField(
        allow_null=True,
        help_text="offset_ms: how far its clock is ahead of the site's; within_ms: give or take.",
    )
    actions = serializers.ListField(child=serializers.CharField(), help_text="What it can be told to do now.")


class NodeDetailSerializer(NodeSerializer):
    slots = DocumentField(help_text="watermark, applied, proposed, checkpoint.")
    counters = DocumentField(help_text="The counters of the contract, since they were last reset.")
    hash_slot = serializers.IntegerField(allow_null=True, help_text="Slot that state_hash belongs to.")
    state_hash = serializers.CharField(allow_null=True, help_text="null: the node has none for the slot.")


class ClusterSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    first_account = serializers.IntegerField()
    last_account = serializers.IntegerField()
    leader = serializers.IntegerField(help_text="0: none known.")
    ballot = BallotField(allow_null=True)
    nodes = NodeSerializer(many=True)


class StoredAccountSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    balance = serializers.IntegerField()
    version = serializers.IntegerField()
    epoch = serializers.IntegerField()


class DatabaseSerializer(serializers.Serializer):
    node = serializers.IntegerField()
    applied = serializers.IntegerField()
    results = StoredAccountSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class LogEntrySerializer(serializers.Serializer):
    slot = serializers.IntegerField()
    ballot = BallotField()
    state = serializers.ChoiceField(choices=("accepted", "chosen", "applied"))
    stamp_us = serializers.IntegerField(allow_null=True, help_text="Clock of the proposing leader.")
    entries = serializers.ListField(child=serializers.JSONField())


class LockSerializer(serializers.Serializer):
    account = serializers.IntegerField()
    tx = serializers.CharField(help_text="Id of the prepared transaction that holds it.")
    coordinator = serializers.IntegerField(help_text="Cluster that decides the transaction.")


class WaiterSerializer(serializers.Serializer):
    tx = serializers.CharField()
    accounts = serializers.ListField(child=serializers.IntegerField())


class LocksSerializer(serializers.Serializer):
    node = serializers.IntegerField()
    locks = LockSerializer(many=True)
    waiting = WaiterSerializer(many=True)


class UndoSerializer(serializers.Serializer):
    account = serializers.IntegerField()
    delta = serializers.IntegerField(help_text="What the prepare changed; an abort takes it back.")
    tx = serializers.CharField()
    prepared_in = serializers.IntegerField(help_text="Slot of the prepare entry.")


class UnfinishedSerializer(serializers.Serializer):
    tx = serializers.CharField()
    number = serializers.IntegerField(help_text="The transaction's number among those of its coordinator.")
    commit = serializers.BooleanField()
    participants = serializers.ListField(child=serializers.IntegerField(), help_text="Clusters.")


class WalSerializer(serializers.Serializer):
    node = serializers.IntegerField()
    records = UndoSerializer(many=True)
    unfinished = UnfinishedSerializer(many=True)


class ExportSerializer(serializers.Serializer):
    node = serializers.IntegerField()
    cluster = serializers.IntegerField()
    incarnation = serializers.IntegerField()
    applied = serializers.IntegerField(
        help_text="Slot of the first part; later parts may be newer under load."
    )
    accounts = StoredAccountSerializer(many=True)


class DoneSerializer(serializers.Serializer):
    result = serializers.CharField(help_text="What happened, in one sentence.")


class ResetSerializer(DoneSerializer):
    incarnation = serializers.IntegerField(help_text="The incarnation that begins.")


class NewViewSerializer(serializers.Serializer):
    number = serializers.IntegerField()
    slot = serializers.IntegerField()
    ballot = BallotField()
    leader = serializers.IntegerField()
    watermark = serializers.IntegerField()
    checkpoint = serializers.IntegerField()
    slots = serializers.ListField(child=serializers.JSONField(), help_text="What it proposed again.")


class NodePlaceSerializer(serializers.Serializer):
    node = serializers.IntegerField()
    state = serializers.CharField()
    role = serializers.CharField(allow_blank=True)
    ballot = BallotField(allow_null=True)
    next_slot = serializers.IntegerField()


class ClusterViewsSerializer(serializers.Serializer):
    cluster = serializers.IntegerField()
    leader = serializers.IntegerField()
    views = NewViewSerializer(many=True)
    nodes = NodePlaceSerializer(many=True)


class PerformanceSerializer(serializers.Serializer):
    clusters = serializers.ListField(
        child=serializers.JSONField(), help_text="Figures of each cluster's leader."
    )
    counters = DocumentField(help_text="Counters of all nodes, added up.")
    unreachable = serializers.ListField(
        child=serializers.IntegerField(), help_text="Nodes that did not answer."
    )


LINK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Link",
    "properties": {
        "from": {"type": "integer", "minimum": 1, "description": "Node whose frames are treated so."},
        "to": {"type": "integer", "minimum": 1, "description": "Node that they go to."},
        "both": {"type": "boolean", "default": False, "description": "The way back, too."},
        "cut": {"type": "boolean", "default": False},
        "delay_ms": {"type": "number", "minimum": 0, "maximum": DELAY_MS_MAX, "default": 0},
        "loss": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0,
            "description": "Share of frames.",
        },
    },
    "required": ["from", "to"],
    "additionalProperties": False,
    "example": {"from": 1, "to": 2, "both": True, "cut": True},
}


class HealthSerializer(serializers.Serializer):
    status = serializers.CharField()


class ReadinessSerializer(HealthSerializer):
    clusters = serializers.ListField(
        child=serializers.JSONField(), help_text="Leader and nodes up, per cluster."
    )


NodePage = page_of(NodeSerializer)
ClusterPage = page_of(ClusterSerializer)
LogPage = page_of(LogEntrySerializer)
ViewsPage = page_of(ClusterViewsSerializer)


class ExperimentSerializer(serializers.Serializer):
    what = serializers.CharField(help_text="benchmark, redistribution, test set or scenario.")
    title = serializers.CharField()
    path = serializers.CharField(help_text="Of its page.")


class ExperimentsSerializer(serializers.Serializer):
    running = ExperimentSerializer(many=True)
    waiting = ExperimentSerializer(many=True)
