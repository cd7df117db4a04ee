"""Bodies of verdicts, for the schema (:mod:`bankweb.rest.serializers`)."""

from __future__ import annotations

from typing import Any, Final

from rest_framework import serializers

from bankweb.benchmarks.serializers import STATUSES
from bankweb.lab.requests import BANKS, FAULTS, KINDS, SCENARIOS, SIMULATION_NUMBERS, VERIFY_NUMBERS
from bankweb.lab.service import SCENARIO
from bankweb.rest.schema import optional
from bankweb.rest.serializers import DocumentField, page_of
from consensus.scenarios.scenario import scenarios

FOUND: Final = ("ok", "violation")
VERDICT_KINDS: Final = (*KINDS, SCENARIO)


class VerdictSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=VERDICT_KINDS)
    name = serializers.CharField()
    status = serializers.ChoiceField(choices=STATUSES, help_text="Of the run, whatever it finds.")
    verdict = serializers.ChoiceField(choices=FOUND, allow_null=True, help_text="Null until it is over.")
    error = serializers.CharField(allow_null=True)
    actor = serializers.CharField()
    created = serializers.DateTimeField()
    started = serializers.DateTimeField(allow_null=True)
    ended = serializers.DateTimeField(allow_null=True)
    parameters = DocumentField(help_text="With the defaults of what was not given.")
    progress = DocumentField(
        help_text="verify: seconds, operations, faults. simulation: done, of, failed (seeds), committed. "
        "scenario: steps, begins (caption of the step under way)."
    )
    recording = serializers.CharField(allow_null=True, help_text="Of one simulated run, or a scenario.")


class VerdictDetailSerializer(VerdictSerializer):
    result = DocumentField(
        allow_null=True, help_text="The document of `manage.py verify --json` or `simulate --json`."
    )


VerdictPage = page_of(VerdictSerializer)


def _number(bounds: tuple[int | None, int, int]) -> dict[str, Any]:
    default, least, most = bounds
    described: dict[str, Any] = {"type": "integer", "minimum": least, "maximum": most}
    return described if default is None else {**described, "default": default}


VERDICT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind"],
    "properties": {
        "kind": {"type": "string", "enum": list(KINDS)},
        **optional(
            {
                "scenario": {
                    "type": "string",
                    "enum": list(SCENARIOS),
                    "description": "simulation: one sort of trouble; left out: mixed, drawn from each seed.",
                },
                "schedule": {
                    "type": "array",
                    "maxItems": 1_000,
                    "items": {"type": "object", "additionalProperties": True},
                    "description": "simulation of one seed: these faults instead of its own.",
                },
                "faults": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "string", "enum": list(FAULTS)},
                    "description": "verify: which kinds; left out: all.",
                },
                **{
                    name: _number(bounds) for name, bounds in {**VERIFY_NUMBERS, **SIMULATION_NUMBERS}.items()
                },
            }
        ),
    },
    "example": {"kind": "simulation", "scenario": "leader-crashes", "seed": 7},
}


class ScenarioSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    about = serializers.CharField()
    next = serializers.CharField(help_text="Which one to go on with.")
    steps = serializers.ListField(child=serializers.CharField(), help_text="What each step is about.")
    misfit = serializers.CharField(allow_null=True, help_text="Why not on the bank on show; null: it can be.")
    last = VerdictSerializer(allow_null=True, help_text="Its last run here.")


class ScenariosSerializer(serializers.Serializer):
    results = ScenarioSerializer(many=True)


SCENARIO_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "enum": list(scenarios())},
        "bank": {
            "type": "string",
            "enum": list(BANKS),
            "default": "private",
            "description": "shown: the one on show, which begins anew first.",
        },
    },
    "example": {"name": "kill-the-leader"},
}
