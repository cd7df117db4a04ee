"""Forms of the transactions pages."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms

from bankweb.ledger.gateway import Legs
from bankweb.orchestration.bank import topology
from consensus.types import AMOUNT_MAX


def _new_key() -> str:
    return f"form-{secrets.token_urlsafe(16)}"


class TransferForm(forms.Form):
    """Sender, receiver, amount, and a hidden ``key`` against sending twice (render hidden fields)."""

    sender = forms.IntegerField(min_value=1)
    receiver = forms.IntegerField(min_value=1)
    amount = forms.IntegerField(min_value=1, max_value=AMOUNT_MAX)
    key = forms.RegexField(
        r"^[\x21-\x7e]{1,200}$", required=False, initial=_new_key, widget=forms.HiddenInput
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        last = topology().accounts
        for name in ("sender", "receiver", "amount"):
            widget = self.fields[name].widget
            widget.attrs |= {"inputmode": "numeric", "autocomplete": "off", "required": True}
        for name in ("sender", "receiver"):
            self.fields[name].max_value = last
            self.fields[name].widget.attrs["max"] = last

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        sender, receiver = values.get("sender"), values.get("receiver")
        last = topology().accounts
        for name in ("sender", "receiver"):
            if (values.get(name) or 1) > last:
                self.add_error(name, f"Accounts are numbered 1 to {last}.")
        if sender is not None and sender == receiver:
            self.add_error("receiver", "Choose another account than the sender.")
        return values

    def transfer(self) -> Legs:
        """The legs of the (valid) form."""
        values = self.cleaned_data
        return (values["sender"], -values["amount"], values["receiver"], values["amount"])


class FilterForm(forms.Form):
    """What the list of transactions shows. Wrong values count as not given."""

    outcome = forms.ChoiceField(
        choices=[
            ("", "any outcome"),
            *((word, word) for word in ("committed", "aborted", "unknown", "refused")),
        ],
        required=False,
    )
    account = forms.IntegerField(min_value=1, max_value=10**9, required=False)

    def values(self) -> dict[str, Any]:
        """The filters that are set and acceptable."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}
