"""Forms that act on links."""

from __future__ import annotations

from typing import Any, Final

from django import forms

from bankweb.orchestration.bank import topology
from bankweb.orchestration.faults import LinkFault

DELAY_MS_MAX: Final = 10_000


class LinkForm(forms.Form):
    """A fault of the link from ``source`` to ``target``; all zero ends what there was."""

    source = forms.IntegerField(min_value=1)
    target = forms.IntegerField(min_value=1)
    both = forms.BooleanField(required=False)
    cut = forms.BooleanField(required=False)
    delay_ms = forms.FloatField(min_value=0, max_value=DELAY_MS_MAX, required=False)
    loss = forms.FloatField(min_value=0, max_value=1, required=False)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        for name in ("source", "target"):
            if name in values and values[name] not in topology().nodes:
                self.add_error(name, f"There is no node {values[name]}.")
        if values.get("source") == values.get("target"):
            self.add_error("target", "Choose another node than the source.")
        return values

    def link(self) -> list[LinkFault]:
        """The faults of the (valid) form, one for each direction."""
        values = self.cleaned_data
        return directions(
            values["source"],
            values["target"],
            both=values["both"],
            cut=values["cut"],
            delay_ms=values["delay_ms"] or 0.0,
            loss=values["loss"] or 0.0,
        )


def directions(
    source: int, target: int, *, both: bool, cut: bool, delay_ms: float, loss: float
) -> list[LinkFault]:
    """A fault from ``source`` to ``target`` and, if ``both``, back."""
    there = LinkFault(source, target, cut, delay_ms, loss)
    return [there, there._replace(source=target, target=source)] if both else [there]
