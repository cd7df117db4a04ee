"""Bodies of benchmarks, for the schema (:mod:`bankweb.rest.serializers`)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from bankweb.rest.schema import optional
from bankweb.rest.serializers import DocumentField, page_of
from consensus.workload.distribution import DISTRIBUTIONS
from consensus.workload.engines import ENGINES
from consensus.workload.options import CLIENTS_MAX, GENERATORS_MAX, LEVELS, MIXES, PRESETS

STATUSES = ("queued", "running", "done", "failed", "cancelled")
BANKS = ("private", "shown")
NUMBERS: dict[str, tuple[type, float, float]] = {
    "transactions": (int, 1, 10**8),
    "duration": (float, 0.5, 3_600.0),
    "clusters": (int, 1, 20),
    "nodes": (int, 1, 9),
    "accounts": (int, 2, 2_000_000),
    "balance": (int, 0, 10**12),
    "clients": (int, 1, CLIENTS_MAX),
    "connections": (int, 1, CLIENTS_MAX),
    "generators": (int, 1, GENERATORS_MAX),
    "rate": (float, 0.1, 1e6),
    "cross_shard": (float, 0.0, 100.0),
    "read_only": (float, 0.0, 100.0),
    "skewness": (float, 0.0, 10.0),
    "amount": (int, 1, 10**9),
    "warmup": (float, 0.0, 600.0),
    "seed": (int, 0, 2**31 - 1),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "preset": tuple(PRESETS),
    "engine": ENGINES,
    "mix": MIXES,
    "distribution": DISTRIBUTIONS,
    "consistency": LEVELS,
}


class BenchmarkSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    bank = serializers.ChoiceField(choices=BANKS)
    status = serializers.ChoiceField(choices=STATUSES)
    error = serializers.CharField(allow_null=True)
    actor = serializers.CharField()
    created = serializers.DateTimeField()
    started = serializers.DateTimeField(allow_null=True)
    ended = serializers.DateTimeField(allow_null=True)
    parameters = DocumentField(help_text="As they were given.")
    commit = serializers.CharField(help_text="Version of the code.")
    machine = DocumentField()
    progress = DocumentField(
        help_text="seconds, ended, of, succeeded, aborted, p50_ms, p99_ms; recent_p50_ms, recent_p99_ms."
    )
    throughput_tps = serializers.FloatField(allow_null=True)
    p99_ms = serializers.FloatField(allow_null=True)


class BenchmarkDetailSerializer(BenchmarkSerializer):
    course = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(allow_null=True)),
        help_text="[seconds, operations per second, p50 ms, p99 ms] of each half second while it ran.",
    )
    result = DocumentField(allow_null=True, help_text="The document of `manage.py bench --json`.")


BenchmarkPage = page_of(BenchmarkSerializer)


def _number(kind: type, least: float, most: float) -> dict[str, Any]:
    return {"type": "integer" if kind is int else "number", "minimum": least, "maximum": most}


BENCHMARK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": optional(
        {
            "name": {"type": "string", "maxLength": 100},
            "bank": {"type": "string", "enum": list(BANKS), "default": "private"},
            "sweep": {"type": "boolean", "default": False},
            "replay": {
                "type": "string",
                "description": "CSV (time,from,to,amount) to replay, or the name of a file kept earlier.",
            },
            **{name: {"type": "string", "enum": list(words)} for name, words in CHOICES.items()},
            **{name: _number(*bounds) for name, bounds in NUMBERS.items()},
        }
    ),
    "example": {"preset": "default"},
}
