"""Forms that start a simulation or break a private bank."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from bankweb.lab.requests import FAULTS, SCENARIOS, SIMULATION_NUMBERS, VERIFY_NUMBERS
from bankweb.lab.service import SIMULATION, VERIFY


def _number(label: str, bounds: tuple[int | None, int, int], hint: str = "") -> forms.IntegerField:
    default, least, most = bounds
    field = forms.IntegerField(min_value=least, max_value=most, required=False, label=label)
    field.widget.attrs["placeholder"] = hint or str(default)
    return field


class SimulationForm(forms.Form):
    scenario = forms.ChoiceField(
        choices=[("", "mixed, drawn from the seed"), *((name, name) for name in SCENARIOS)],
        required=False,
        label="Trouble",
    )
    seed = _number("Seed", SIMULATION_NUMBERS["seed"])
    last = _number("To seed", SIMULATION_NUMBERS["last"], "the same")
    steps = _number("Steps under faults", SIMULATION_NUMBERS["steps"])
    schedule = forms.CharField(
        required=False,
        label="Faults instead of the seed's own (JSON)",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )

    def clean_schedule(self) -> Any:
        text = self.cleaned_data["schedule"].strip()
        if not text:
            return None
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise forms.ValidationError(f"is no JSON: {error}") from error

    def body(self) -> dict[str, Any]:
        """The body of the POST that REST would take."""
        given = {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}
        return {"kind": SIMULATION, **given}


class VerifyForm(forms.Form):
    duration = _number("Seconds", VERIFY_NUMBERS["duration"])
    clients = _number("Clients", VERIFY_NUMBERS["clients"])
    seed = _number("Seed", VERIFY_NUMBERS["seed"])
    faults = forms.MultipleChoiceField(
        choices=[(kind, kind) for kind in FAULTS],
        initial=list(FAULTS),
        widget=forms.CheckboxSelectMultiple,
        label="Faults",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The other form of the page has a seed, too: each label means the field of its own form.
        super().__init__(*args, auto_id="id_verify_%s", **kwargs)

    def body(self) -> dict[str, Any]:
        """The body of the POST that REST would take."""
        given = {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}
        return {"kind": VERIFY, **given}
