"""What people ask for: transfers and transactions, checked before anything else happens.

The bank checks again and would answer ``aborted(invalid)``; but what is plainly wrong deserves an
error that names the field, and should not cost a slot.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
from django.conf import settings

from bankweb.ledger.gateway import Legs
from bankweb.orchestration.bank import topology
from bankweb.rest.fields import integer, mapping, required
from bankweb.rest.problems import invalid, shown
from consensus.types import AMOUNT_MAX, LEGS_MAX, LEGS_MIN

KEY_BYTES_MAX: Final = 200
_TRANSFER: Final = frozenset(("sender", "receiver", "amount"))
_LEGS: Final = frozenset(("legs",))
_ITEMS: Final = frozenset(("items",))


def transfer(sender: Any, receiver: Any, amount: Any, where: str = "") -> Legs:
    """The legs of a transfer.

    Raises:
        Problem: an account or the amount is not acceptable (400).
    """
    prefix = f"{where}." if where else ""
    last = topology().accounts
    # The common case first: a batch has ten thousand of these.
    if not (
        type(sender) is int and type(receiver) is int and type(amount) is int
        and 1 <= sender <= last and 1 <= receiver <= last and 1 <= amount <= AMOUNT_MAX and sender != receiver
    ):  # fmt: skip
        integer(sender, f"{prefix}sender", 1, last)
        integer(receiver, f"{prefix}receiver", 1, last)
        integer(amount, f"{prefix}amount", 1, AMOUNT_MAX)
        raise invalid(f"{prefix}receiver", f"must be another account than the sender, not {shown(receiver)}")
    return (sender, -amount, receiver, amount)


def order(body: Any, where: str = "") -> Legs:
    """The legs of one transaction: ``{"sender", "receiver", "amount"}`` or ``{"legs": [[account, delta]]}``.

    Raises:
        Problem: a field is wrong, missing or unknown (400).
    """
    if type(body) is dict and "legs" in body:
        mapping(body, _LEGS, where)
        return _legs(body["legs"], f"{where}.legs" if where else "legs")
    if type(body) is dict and body.keys() == _TRANSFER:
        return transfer(body["sender"], body["receiver"], body["amount"], where)
    fields = mapping(body, _TRANSFER, where)
    return transfer(
        required(fields, "sender", where),
        required(fields, "receiver", where),
        required(fields, "amount", where),
        where,
    )


def _legs(value: Any, where: str) -> Legs:
    if type(value) is not list or not LEGS_MIN <= len(value) <= LEGS_MAX:
        raise invalid(where, f"must be a list of {LEGS_MIN}..{LEGS_MAX} pairs, not {shown(value)}")
    last = topology().accounts
    flat: list[int] = []
    for index, pair in enumerate(value):
        field = f"{where}[{index}]"
        if type(pair) is not list or len(pair) != 2:
            raise invalid(field, f"must be a pair [account, delta], not {shown(pair)}")
        account = integer(pair[0], f"{field}[0]", 1, last)
        if account in flat[::2]:
            raise invalid(f"{field}[0]", f"account {account} stands in an earlier leg already")
        flat += (account, integer(pair[1], f"{field}[1]", -AMOUNT_MAX, AMOUNT_MAX))
    total = sum(flat[1::2])
    if total:
        raise invalid(where, f"deltas must sum to zero, not {total}")
    return tuple(flat)


def batch(body: Any) -> list[Legs]:
    """The legs of each transaction of a batch, ``[…]`` or ``{"items": […]}``.

    Raises:
        Problem: the list or one of its items is not acceptable (400).
    """
    items = required(mapping(body, _ITEMS), "items") if type(body) is dict else body
    most = settings.BATCH_TRANSFERS_MAX
    if type(items) is not list or not 1 <= len(items) <= most:
        found = f"{len(items)} items" if type(items) is list else shown(items)
        raise invalid("items", f"must be a list of 1..{most} transactions, not {found}")
    return [order(item, f"items[{index}]") for index, item in enumerate(items)]


def key(header: str | None) -> str:
    """The Idempotency-Key, "" for none.

    Raises:
        Problem: it is too long or not printable ASCII (400).
    """
    if header is None:
        return ""
    if not 1 <= len(header) <= KEY_BYTES_MAX or not header.isascii() or not header.isprintable():
        raise invalid(
            "Idempotency-Key", f"must be 1..{KEY_BYTES_MAX} printable ASCII characters, not {shown(header)}"
        )
    return header


def digest(kind: str, legs: Any) -> str:
    """What a key stands for: two requests that ask for the same have the same digest."""
    return hashlib.sha256(msgspec.msgpack.encode((kind, legs))).hexdigest()
