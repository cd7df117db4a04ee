"""Forms of the redistribution pages."""

from __future__ import annotations

from django import forms

from bankweb.redistribution.models import Trigger


class PlanForm(forms.Form):
    """What a plan has to respect. Empty: the planner's own."""

    max_moves = forms.IntegerField(min_value=0, max_value=10_000_000, required=False)
    price = forms.FloatField(min_value=0, max_value=1_000, required=False)

    def options(self) -> dict[str, float]:
        return {name: value for name, value in self.cleaned_data.items() if value is not None}


class TriggerForm(forms.ModelForm):
    """The automatic trigger's water marks."""

    class Meta:
        model = Trigger
        fields = ("high_pct", "low_pct", "load_high_pct", "window_s")

    def clean(self) -> dict[str, float]:
        data: dict[str, float] = super().clean() or {}
        if data.get("low_pct", 0) > data.get("high_pct", 100):
            self.add_error("low_pct", "must not be above the high mark")
        return data
