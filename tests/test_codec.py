"""The codec is total: messages come back as they were; other bytes decode or raise CodecError."""

from __future__ import annotations

import enum
import re
import types
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consensus import codec
from consensus.codec import (
    FRAME_BYTES_MAX,
    LAMPORT_MAX,
    MESSAGES_MAX,
    CodecError,
    decode_batch,
    decode_frame,
    decode_stamped,
    encode,
    encode_batch,
    frame,
)
from consensus.messages.base import Message
from consensus.messages.client import ClientReply, ClientRequest, WhoLeads
from consensus.messages.control import ControlMessage, Hello, Role, Welcome
from consensus.messages.entries import Batch, Entry, OpenSession
from consensus.messages.migration import TRACE_NAMES as MIGRATION_NAMES
from consensus.messages.migration import MigrationMessage
from consensus.messages.paxos import TRACE_NAMES as PAXOS_NAMES
from consensus.messages.paxos import PaxosMessage
from consensus.messages.records import Record
from consensus.messages.rows import Row, decode_rows, encode_rows
from consensus.messages.txn import TRACE_NAMES as TXN_NAMES
from consensus.messages.txn import TxnMessage
from consensus.types import Ballot

PROTOCOL = Path(__file__).parents[1] / "docs" / "protocol.md"
FAMILIES = {
    "paxos.py": PaxosMessage,
    "txn.py": TxnMessage,
    "migration.py": MigrationMessage,
    "client.py": ClientRequest | ClientReply,
    "control.py": ControlMessage,
}
MESSAGES: list[type[Message]] = [kind for family in FAMILIES.values() for kind in typing.get_args(family)]
FEW, SOME, MANY = [
    settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    for examples in (6, 25, 80)
]
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type, as the messages use them."""
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-(2**63), 2**64 - 1),
        bool: st.booleans(),
        bytes: st.binary(max_size=40),
        str: st.text(max_size=12),
        Any: PLAIN,
        types.NoneType: st.none(),
    }
    if annotation in simple:
        return simple[annotation]
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list:
        return st.lists(values_of(args[0]), max_size=4)
    if origin is tuple and args[1:] == (...,):
        return st.lists(values_of(args[0]), max_size=6).map(tuple)
    if origin is dict:
        return st.dictionaries(values_of(args[0]), values_of(args[1]), max_size=3)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values_of(arg) for arg in args])
    if issubclass(annotation, enum.Enum):
        return st.sampled_from(list(annotation))
    hints = typing.get_type_hints(annotation)
    fields = annotation.__struct_fields__ if issubclass(annotation, msgspec.Struct) else annotation._fields
    return st.builds(annotation, *[st.deferred(lambda hint=hints[name]: values_of(hint)) for name in fields])


def number_of(kind: type[Message]) -> int:
    tag = kind.__struct_config__.tag
    assert isinstance(tag, int)
    return tag


def section(title: str) -> str:
    """The text of docs/protocol.md under a heading of the second level."""
    text = PROTOCOL.read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


# --- round trips -------------------------------------------------------------------


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@FEW
@given(data=st.data(), incarnation=st.integers(0, 2**63))
def test_every_message_comes_back_as_it_was(
    kind: type[Message], data: st.DataObject, incarnation: int
) -> None:
    message = data.draw(values_of(kind))
    again = decode_frame(frame(incarnation, [encode(message)], 1))
    assert again == (incarnation, [message])
    assert type(again[1][0]) is kind


@SOME
@given(messages=st.lists(st.one_of([values_of(kind) for kind in MESSAGES]), max_size=5))
def test_a_frame_keeps_the_order_of_its_messages(messages: list[Message]) -> None:
    assert decode_frame(frame(3, map(encode, messages), len(messages))) == (3, messages)


@SOME
@given(lamport=st.integers(0, LAMPORT_MAX + 5), messages=st.lists(values_of(Hello), max_size=2))
def test_a_frame_carries_the_clock_of_its_sender(lamport: int, messages: list[Message]) -> None:
    data = frame(3, map(encode, messages), len(messages), lamport)
    if lamport < LAMPORT_MAX:
        assert decode_stamped(data) == (3, messages, lamport)
    else:
        with pytest.raises(CodecError, match="clock"):
            decode_stamped(data)


@SOME
@given(batch=values_of(Batch))
def test_a_batch_comes_back_as_it_was(batch: Batch) -> None:
    value = encode_batch(batch)
    assert decode_batch(value) == batch
    assert encode_batch(decode_batch(value)) == value


def test_fields_left_out_at_the_end_take_their_defaults() -> None:
    hello = Hello(1, Role.PEER, 2, 3, "spare")
    short = msgspec.msgpack.encode([120, *msgspec.to_builtins(hello)[1:-2]])
    assert decode_frame(frame(0, [short], 1)) == (0, [Hello(1, Role.PEER, 2, 3)])


def test_plain_form_is_json_like() -> None:
    assert codec.to_plain(OpenSession(b"\x01" * 16))[0] == 1
    assert codec.to_plain(Batch(Ballot(1, 2), 5, [])) == [(1, 2), 5, []]


# --- bytes that are no messages ------------------------------------------------------


@MANY
@given(data=st.binary(max_size=200))
@example(data=b"")
@example(data=b"\x92\x01\xdd\xff\xff\xff\xff")
@example(data=b"\x91" * 100_000)
def test_arbitrary_bytes_decode_or_are_refused(data: bytes) -> None:
    for decode in (decode_frame, decode_batch):
        try:
            decode(data)
        except CodecError:
            continue


@MANY
@given(message=st.one_of([values_of(kind) for kind in MESSAGES]), data=st.data())
def test_damaged_frames_decode_or_are_refused(message: Message, data: st.DataObject) -> None:
    whole = frame(1, [encode(message)], 1)
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        incarnation, messages = decode_frame(bytes(damaged))
    except CodecError:
        return
    assert incarnation >= 0 and all(isinstance(m, Message) for m in messages)


@SOME
@given(message=st.one_of([values_of(kind) for kind in MESSAGES]), data=st.data())
def test_truncated_and_lengthened_frames_are_refused(message: Message, data: st.DataObject) -> None:
    whole = frame(1, [encode(message)], 1)
    with pytest.raises(CodecError):
        decode_frame(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(CodecError):
        decode_frame(whole + b"\x00")


@SOME
@given(batch=values_of(Batch), data=st.data())
def test_damaged_batches_decode_or_are_refused(batch: Batch, data: st.DataObject) -> None:
    whole = encode_batch(batch)
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for value in (bytes(damaged), whole[: data.draw(st.integers(0, len(whole) - 1))]):
        try:
            assert isinstance(decode_batch(value), Batch)
        except CodecError:
            continue


def test_text_that_is_not_utf8_is_refused() -> None:
    """The decoder below raises another error for it than for everything else."""
    whole = frame(0, [encode(Hello(1, Role.PEER, 1, 1, "ab"))], 1)
    with pytest.raises(CodecError):
        decode_frame(whole.replace(b"ab", b"\xff\xfe"))


def test_unknown_numbers_are_refused() -> None:
    with pytest.raises(CodecError):
        decode_frame(frame(0, [msgspec.msgpack.encode([79, 1])], 1))
    with pytest.raises(CodecError):
        decode_batch(msgspec.msgpack.encode([[1, 1], 0, [[99, b""]]]))


# --- limits --------------------------------------------------------------------------


def test_a_frame_over_the_limit_is_refused_unread() -> None:
    chunk = encode(Hello(1, Role.CLIENT, 0, 0, "x" * (FRAME_BYTES_MAX // 2)))
    assert len(decode_frame(frame(0, [chunk], 1))[1]) == 1
    with pytest.raises(CodecError, match="over the limit"):
        decode_frame(frame(0, [chunk, chunk], 2))
    with pytest.raises(CodecError, match="over the limit"):
        decode_frame(bytes(FRAME_BYTES_MAX + 1))


def test_a_frame_holds_a_bounded_number_of_messages() -> None:
    message = encode(WhoLeads())
    assert len(decode_frame(frame(0, [message] * MESSAGES_MAX, MESSAGES_MAX))[1]) == MESSAGES_MAX
    with pytest.raises(CodecError):
        decode_frame(frame(0, [message] * (MESSAGES_MAX + 1), MESSAGES_MAX + 1))


def test_a_negative_incarnation_is_refused() -> None:
    with pytest.raises(CodecError):
        decode_frame(frame(-1, [], 0))


def test_a_count_that_is_not_the_number_of_messages_is_refused() -> None:
    message = encode(Welcome(1, 1, 1, 1))
    for count in (0, 1, 3):
        with pytest.raises(CodecError):
            decode_frame(frame(0, [message, message], count))


# --- rows of a state transfer ----------------------------------------------------------


@SOME
@given(data=st.binary(max_size=60))
@example(data=encode_rows([Row("meta", "ab", (1,))]).replace(b"ab", b"\xff\xfe"))
@example(data=encode_rows([Row("meta", "slot", (1, 2))]))
@example(data=encode_rows([Row("nowhere", "slot", None)]))
def test_rows_decode_or_raise_a_value_error(data: bytes) -> None:
    try:
        decode_rows(data)
    except ValueError:
        return


# --- numbers -------------------------------------------------------------------------


def test_message_numbers_are_those_of_the_documentation() -> None:
    documented: dict[int, str] = {}
    for line in section("Messages").splitlines():
        if (family := re.search(r"`messages/(\w+\.py)`", line)) is None:
            continue
        pairs = {int(number): name for number, name in re.findall(r"(\d+) ([A-Z]\w+)", line)}
        built = {number_of(kind): kind.__name__ for kind in typing.get_args(FAMILIES[family[1]])}
        assert pairs == built, f"messages/{family[1]}"
        assert not documented.keys() & pairs.keys(), "a number belongs to one message"
        documented |= pairs
    assert documented == {number_of(kind): kind.__name__ for kind in MESSAGES}
    assert len(documented) == len(MESSAGES)


@pytest.mark.parametrize(("title", "union"), [("Log entries", Entry), ("Journal records", Record)])
def test_entry_and_record_numbers_are_those_of_the_documentation(title: str, union: Any) -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+)", section(title), re.MULTILINE)
    documented = {int(number): name for number, name in rows}
    assert documented == {number_of(kind): kind.__name__ for kind in typing.get_args(union)}
    assert len(rows) == len(typing.get_args(union))


def test_every_traced_message_has_a_name_in_the_trace() -> None:
    assert set(PAXOS_NAMES) == set(typing.get_args(PaxosMessage))
    assert set(TXN_NAMES) == set(typing.get_args(TxnMessage))
    assert set(MIGRATION_NAMES) == set(typing.get_args(MigrationMessage))
