"""What the bank says to etcd over gRPC: the few messages of its v3 API that a transfer needs.

Field numbers are those of etcd's ``rpc.proto`` and ``kv.proto``; fields that are not used are left out, which
protobuf allows.
"""

from __future__ import annotations

from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE: Final = "etcdserverpb"
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "bytes": _FIELD.TYPE_BYTES,
    "string": _FIELD.TYPE_STRING,
    "int64": _FIELD.TYPE_INT64,
    "uint64": _FIELD.TYPE_UINT64,
    "bool": _FIELD.TYPE_BOOL,
    # An enum has the same form on the wire.
    "enum": _FIELD.TYPE_INT32,
}
_MESSAGES: Final = {
    "Header": {"member_id": (2, "uint64")},
    "KeyValue": {
        "key": (1, "bytes"),
        "mod_revision": (3, "int64"),
        "version": (4, "int64"),
        "value": (5, "bytes"),
    },
    "RangeRequest": {
        "key": (1, "bytes"),
        "range_end": (2, "bytes"),
        "limit": (3, "int64"),
        "serializable": (7, "bool"),
    },
    "RangeResponse": {"kvs": (2, "*KeyValue"), "more": (3, "bool")},
    "PutRequest": {"key": (1, "bytes"), "value": (2, "bytes")},
    "RequestOp": {"request_range": (1, "RangeRequest"), "request_put": (2, "PutRequest")},
    "ResponseOp": {"response_range": (1, "RangeResponse")},
    "Compare": {
        "result": (1, "enum"),
        "target": (2, "enum"),
        "key": (3, "bytes"),
        "mod_revision": (6, "int64"),
    },
    "TxnRequest": {"compare": (1, "*Compare"), "success": (2, "*RequestOp"), "failure": (3, "*RequestOp")},
    "TxnResponse": {"succeeded": (2, "bool"), "responses": (3, "*ResponseOp")},
    "StatusRequest": {},
    "StatusResponse": {"header": (1, "Header"), "version": (2, "string"), "leader": (4, "uint64")},
}
"""Name, and of each field its number and type; ``*``: repeated."""


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="paxos_bank_etcd.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            one = message.field.add(name=field, number=number)
            one.label = _FIELD.LABEL_REPEATED if kind.startswith("*") else _FIELD.LABEL_OPTIONAL
            plain = kind.removeprefix("*")
            if plain in _SCALARS:
                one.type = _SCALARS[plain]
            else:
                one.type, one.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASS: Final = _classes()
RangeRequest: Final = _CLASS["RangeRequest"]
PutRequest: Final = _CLASS["PutRequest"]
RequestOp: Final = _CLASS["RequestOp"]
Compare: Final = _CLASS["Compare"]
TxnRequest: Final = _CLASS["TxnRequest"]
StatusRequest: Final = _CLASS["StatusRequest"]
MOD: Final = 2
"""Compare the revision of a key's last change; the result wanted is 0, equal."""


class EtcdApi:
    """The calls on one member."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)]
        )
        self.range = self._call("KV/Range", "Range")
        self.txn = self._call("KV/Txn", "Txn")
        self.status = self._call("Maintenance/Status", "Status")

    def _call(self, path: str, name: str) -> Any:
        return self._channel.unary_unary(
            f"/{_PACKAGE}.{path}",
            request_serializer=_CLASS[f"{name}Request"].SerializeToString,
            response_deserializer=_CLASS[f"{name}Response"].FromString,
        )

    async def close(self) -> None:
        await self._channel.close()
