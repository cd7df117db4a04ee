"""The ledger's REST bodies, for the schema (:mod:`bankweb.rest.serializers`)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from bankweb.rest.schema import ACCOUNT
from bankweb.rest.serializers import BallotField, page_of
from consensus.types import AMOUNT_MAX, LEGS_MAX, LEGS_MIN

_TRANSFER = {
    "type": "object",
    "title": "Transfer",
    "properties": {
        "sender": {"type": "integer", "minimum": 1, ACCOUNT: True, "description": "Account that pays."},
        "receiver": {
            "type": "integer",
            "minimum": 1,
            ACCOUNT: True,
            "description": "Account that is paid; not the sender.",
        },
        "amount": {"type": "integer", "minimum": 1, "maximum": AMOUNT_MAX},
    },
    "required": ["sender", "receiver", "amount"],
    "additionalProperties": False,
    "example": {"sender": 1, "receiver": 2, "amount": 3},
}
_LEGS = {
    "type": "object",
    "title": "Legs",
    "properties": {
        "legs": {
            "type": "array",
            "minItems": LEGS_MIN,
            "maxItems": LEGS_MAX,
            "items": {
                "type": "array",
                "items": {"type": "integer", "minimum": -AMOUNT_MAX, "maximum": AMOUNT_MAX},
                "minItems": 2,
                "maxItems": 2,
            },
            "description": "Pairs [account, delta] of different accounts; the deltas sum to zero.",
        }
    },
    "required": ["legs"],
    "additionalProperties": False,
    "example": {"legs": [[1, -3], [2, 3]]},
}
ORDER_SCHEMA: dict[str, Any] = {"oneOf": [_TRANSFER, _LEGS]}
BATCH_SCHEMA: dict[str, Any] = {
    "oneOf": [
        {"type": "array", "items": ORDER_SCHEMA, "minItems": 1, "maxItems": 10_000},
        {
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": ORDER_SCHEMA, "minItems": 1, "maxItems": 10_000}
            },
            "required": ["items"],
            "additionalProperties": False,
        },
    ]
}

REASONS = (
    "Why it aborted (`insufficient_funds`, `lock_timeout`, …), was refused or is unknown; null when "
    "committed."
)


KINDS = ("intra", "cross")


class PositionSerializer(serializers.Serializer):
    """Where in a cluster's log something stands."""

    cluster = serializers.IntegerField()
    ballot = BallotField(help_text="[round, node] under which the slot was first proposed.")
    slot = serializers.IntegerField()
    index = serializers.IntegerField(help_text="Place among the transactions of the slot.")


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {"version": {"type": "integer"}, "balance": {"type": "integer"}},
            "required": ["version", "balance"],
        },
        "example": {"21": {"version": 3, "balance": 8}},
    }
)
class SeenField(serializers.Field):
    """Account to version and balance after the transaction (for an abort: as it saw them)."""


class TransactionSerializer(serializers.Serializer):
    id = serializers.CharField(allow_null=True, help_text="null: refused before it got one (batches only).")
    outcome = serializers.ChoiceField(choices=("committed", "aborted", "unknown", "refused"))
    reason = serializers.CharField(allow_null=True, help_text=REASONS)
    kind = serializers.ChoiceField(choices=KINDS)
    clusters = serializers.ListField(
        child=serializers.IntegerField(), help_text="Coordinating cluster first."
    )
    positions = PositionSerializer(many=True)
    accounts = SeenField()
    epoch = serializers.IntegerField(help_text="Changes of ownership known to the node that answered.")
    latency_ms = serializers.FloatField()


@extend_schema_field({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2})
class LegField(serializers.Field):
    """``[account, delta]``."""


class KeptTransactionSerializer(TransactionSerializer):
    legs = serializers.ListField(child=LegField(), help_text="Empty when they were not kept.")
    sender = serializers.IntegerField(allow_null=True)
    receiver = serializers.IntegerField(allow_null=True)
    amount = serializers.IntegerField(allow_null=True)
    source = serializers.ChoiceField(choices=("form", "rest", "batch"))
    actor = serializers.CharField(help_text="Who sent it; empty when that was not kept.")
    created = serializers.DateTimeField()
    url = serializers.CharField(help_text="Its page.")
    text = serializers.CharField(help_text="What happened to it, in one sentence.")


class StepClusterSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    nodes = serializers.ListField(child=serializers.IntegerField())


class StepsSerializer(serializers.Serializer):
    id = serializers.CharField()
    settled = serializers.BooleanField(help_text="Nothing has come for a while; false: ask again.")
    clusters = StepClusterSerializer(many=True, help_text="Those touched, the coordinating one first.")
    steps = serializers.ListField(
        child=serializers.JSONField(), help_text="Trace events of schema v1, by time (UTC, microseconds)."
    )


class BatchResultSerializer(serializers.Serializer):
    results = TransactionSerializer(many=True, help_text="In the order of the request.")


class AccountPositionSerializer(serializers.Serializer):
    cluster = serializers.IntegerField()
    slot = serializers.IntegerField(help_text="The applied slot that was read.")


class AccountSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    cluster = serializers.IntegerField()
    balance = serializers.IntegerField()
    value = serializers.IntegerField(help_text="The same as `balance`.")
    version = serializers.IntegerField(help_text="Committed changes of the account so far.")
    position = AccountPositionSerializer()
    consistency = serializers.CharField()
    epoch = serializers.IntegerField()
    latency_ms = serializers.FloatField()


class AccountRowSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    cluster = serializers.IntegerField()
    balance = serializers.IntegerField()
    version = serializers.IntegerField()
    epoch = serializers.IntegerField()


class ReplicaSerializer(serializers.Serializer):
    node = serializers.IntegerField()
    state = serializers.CharField(help_text="up, failed, paused, killed or down.")
    role = serializers.CharField()
    reachable = serializers.BooleanField(help_text="false: the node could not be asked.")
    balance = serializers.IntegerField(allow_null=True)
    version = serializers.IntegerField(allow_null=True)
    applied = serializers.IntegerField(
        allow_null=True, help_text="The slot up to which the node has applied."
    )


class ReplicasSerializer(serializers.Serializer):
    account = serializers.IntegerField()
    cluster = serializers.IntegerField()
    replicas = ReplicaSerializer(many=True)


class SummarySerializer(serializers.Serializer):
    """``min`` and ``max`` are null when the range holds no account."""

    count = serializers.IntegerField()
    min = serializers.IntegerField(allow_null=True)
    max = serializers.IntegerField(allow_null=True)
    total = serializers.IntegerField()


class ClusterCutSerializer(serializers.Serializer):
    cluster = serializers.IntegerField()
    slot = serializers.IntegerField(help_text="Where the cut stands in the cluster's log.")
    accounts = serializers.IntegerField(help_text="How many the cluster held.")
    balances = serializers.IntegerField(help_text="Their sum, prepared changes counted in.")
    prepared = serializers.IntegerField(help_text="Transactions without a decision there.")


class CutAccountSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    cluster = serializers.IntegerField()
    balance = serializers.IntegerField()
    version = serializers.IntegerField()


class AuditSerializer(serializers.Serializer):
    number = serializers.IntegerField(help_text="Number of the cut in this incarnation.")
    incarnation = serializers.IntegerField()
    total = serializers.IntegerField(help_text="All money, that in flight included.")
    expected = serializers.IntegerField(help_text="What there was at first.")
    in_flight = serializers.IntegerField(help_text="Decided, or moving with its account, and not there yet.")
    cut = ClusterCutSerializer(many=True)
    accounts = CutAccountSerializer(
        many=True,
        required=False,
        help_text="Every account at the cut; left out with totals=1. Accounts on the move are in no cluster.",
    )


AccountPage = page_of(AccountRowSerializer)
KeptTransactionPage = page_of(KeptTransactionSerializer)


class AmbientSerializer(serializers.Serializer):
    on = serializers.BooleanField()
    mode = serializers.ChoiceField(
        choices=("off", "on", "silent", "yielding", "waiting"),
        help_text="silent: an experiment has the bank; yielding: others send much; waiting: nobody answers.",
    )
    why = serializers.CharField(allow_blank=True)
    rate_tps = serializers.FloatField()
    accounts = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        help_text="First and last of each cluster.",
    )
    sent = serializers.IntegerField(help_text="Since the site started.")
    committed = serializers.IntegerField()


AMBIENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["on"],
    "properties": {"on": {"type": "boolean"}},
    "example": {"on": False},
}
