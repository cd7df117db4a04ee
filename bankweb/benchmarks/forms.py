"""The form that starts a benchmark: every parameter of REST, empty for the preset's value."""

from __future__ import annotations

from typing import Any

from django import forms

from bankweb.benchmarks.serializers import CHOICES, NUMBERS
from consensus.workload.engines import ENGINES, PAXOS, TITLES

LABELS = {
    "preset": "Preset",
    "transactions": "Operations",
    "duration": "Or seconds",
    "clients": "Clients",
    "connections": "Connections",
    "generators": "Load generators",
    "rate": "Rate per second",
    "cross_shard": "Across clusters, %",
    "read_only": "Reads, %",
    "mix": "Operations are",
    "distribution": "Accounts drawn",
    "skewness": "Zipf exponent",
    "consistency": "Reads are",
    "amount": "Greatest amount",
    "warmup": "Warm-up, seconds",
    "seed": "Seed",
    "clusters": "Clusters",
    "nodes": "Nodes in each",
    "accounts": "Accounts",
    "balance": "Balance at first",
}
PLACEHOLDERS = {
    "transactions": "preset", "duration": "5", "clients": "50", "connections": "one per leader",
    "generators": "1",
    "rate": "as fast as it goes", "cross_shard": "0", "read_only": "0", "skewness": "1.0", "amount": "10",
    "warmup": "1", "seed": "1", "clusters": "3", "nodes": "3", "accounts": "9000", "balance": "100000",
}  # fmt: skip
LOAD = (
    "transactions",
    "duration",
    "clients",
    "connections",
    "generators",
    "rate",
    "cross_shard",
    "read_only",
)
DRAWN = ("mix", "distribution", "skewness", "consistency", "amount", "warmup", "seed")
SIZE = ("clusters", "nodes", "accounts", "balance")


class BenchmarkForm(forms.Form):
    """Values are checked once more as REST checks them; what is wrong stands at its field."""

    name = forms.CharField(max_length=100, required=False, label="Name")
    preset = forms.ChoiceField(
        choices=[("", "none: as below"), *((name, name) for name in CHOICES["preset"])], required=False
    )
    engine = forms.ChoiceField(
        choices=[
            ("", TITLES[PAXOS]),
            *((name, f"{TITLES[PAXOS]}, then {TITLES[name]}") for name in ENGINES if name != PAXOS),
        ],
        required=False,
        label="On",
    )
    bank = forms.ChoiceField(choices=[("private", "a private one"), ("shown", "the one on show")])
    replay = forms.FileField(
        required=False,
        label="Replay a file (CSV: time, from, to, amount)",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    sweep = forms.BooleanField(required=False, label="Then sweep the rate, for a curve")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, (kind, least, most) in NUMBERS.items():
            field = forms.IntegerField if kind is int else forms.FloatField
            self.fields[name] = field(min_value=least, max_value=most, required=False, label=LABELS[name])
            self.fields[name].widget.attrs |= {"placeholder": PLACEHOLDERS.get(name, ""), "step": "any"}
        for name in ("mix", "distribution", "consistency"):
            words = [("", CHOICES[name][0]), *((word, word) for word in CHOICES[name][1:])]
            self.fields[name] = forms.ChoiceField(choices=words, required=False, label=LABELS[name])

    def clean_replay(self) -> str | None:
        """The file's text."""
        upload = self.cleaned_data["replay"]
        if upload is None:
            return None
        try:
            return str(upload.read().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise forms.ValidationError("must be text in UTF-8") from error

    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the POSTs that REST would take; another engine runs right after the bank."""
        # Zero is a value: only what is empty, and the box that is not ticked, is left to the preset.
        given = {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}
        body = {name: value for name, value in given.items() if value is not False}
        if "engine" not in body:
            return [body]
        return [{name: value for name, value in body.items() if name != "engine"}, body]

    def group(self, names: tuple[str, ...]) -> list[Any]:
        return [self[name] for name in names]

    @property
    def load(self) -> list[Any]:
        return self.group(LOAD)

    @property
    def drawn(self) -> list[Any]:
        return self.group(DRAWN)

    @property
    def size(self) -> list[Any]:
        return self.group(SIZE)
