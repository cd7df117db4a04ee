"""Forms of the test set pages."""

from __future__ import annotations

from typing import Any

from django import forms

from bankweb.rest.problems import Problem
from bankweb.testsets import files
from bankweb.testsets.files import Sizes
from bankweb.testsets.runs import FUNCTIONS, Run, runs


class UploadForm(forms.Form):
    """A file of test sets, and the bank it is for."""

    file = forms.FileField(widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}))
    clusters = forms.IntegerField(min_value=1, max_value=files.CLUSTERS_MAX, initial=3)
    nodes = forms.IntegerField(min_value=1, max_value=files.NODES_MAX, initial=3)
    accounts = forms.IntegerField(min_value=1, max_value=files.ACCOUNTS_MAX, initial=9_000)
    balance = forms.IntegerField(min_value=0, max_value=files.BALANCE_MAX, initial=10)
    bank = forms.ChoiceField(
        choices=[("private", "a private one of these sizes"), ("shown", "the one on show")], required=False
    )

    def run(self) -> Run | None:
        """The run of a valid form; None when the file or the sizes will not do, which the form then says."""
        values: dict[str, Any] = dict(self.cleaned_data)
        upload, on_show = values.pop("file"), values.pop("bank") == "shown"
        try:
            return runs().add(upload.name[:200], upload.read(), Sizes(**values), on_show=on_show)
        except Problem as problem:
            field, _, cause = problem.detail.partition(": ")
            name = {"content": "file"}.get(field, field)
            self.add_error(name if name in self.fields else None, cause or problem.detail)
            return None


class PrintForm(forms.Form):
    """One of the course's functions, and what it is about."""

    function = forms.ChoiceField(choices=[(name, name) for name in FUNCTIONS])
    argument = forms.CharField(required=False, max_length=40)
