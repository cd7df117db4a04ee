"""The commands of operators, and of the site: name → arguments → reply.

Served also while the node is failed. Every reply is a JSON-like document; a refusal is
``{"error": sentence}`` with ``ok`` false. The table is in docs/protocol.md, "Operator commands".
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec

from consensus import codec
from consensus.bank import audit
from consensus.effects import Move
from consensus.messages.control import Command, CommandReply
from consensus.net.wire import Wire
from consensus.node.access import ROWS_MAX, Access
from consensus.node.faults import LinkFault
from consensus.replica import inspect, inspect_moves
from consensus.replica.door import Replica
from consensus.types import NodeId

DELAY_MS_MAX: Final = 60_000
SKEW_MS_MAX: Final = 3_600_000
REPLY_BYTES_MAX: Final = codec.FRAME_BYTES_MAX - 1_024
_log = logging.getLogger(__name__)

Count = Annotated[int, msgspec.Meta(ge=0)]


class CommandError(Exception):
    """The command cannot be carried out; the text says why."""


class Steered(Protocol):
    """What commands act on."""

    @property
    def replica(self) -> Replica: ...

    def status(self) -> dict[str, Any]: ...

    def fail(self) -> None: ...

    def recover(self) -> None: ...

    def stop(self) -> None: ...

    def reset(self, incarnation: int) -> None: ...

    def set_link(self, to: NodeId, fault: LinkFault) -> None: ...

    def heal(self) -> None: ...

    def watch(self, wire: Wire, hz: float, level: int) -> None: ...

    def cut(self, number: int) -> None: ...

    def move(self, move: Move) -> None: ...

    def counters(self, reset: bool) -> dict[str, float]: ...

    def latency(self) -> dict[str, Any]: ...

    @property
    def access(self) -> Access: ...

    def break_disk(self, kind: str, span_ms: float) -> bool: ...

    def skew_clock(self, offset_ms: float) -> bool: ...


class _Args(msgspec.Struct, forbid_unknown_fields=True):
    """No arguments."""


class _Reset(_Args):
    incarnation: Annotated[int, msgspec.Meta(ge=1, lt=2**53)]


class _Link(_Args):
    to: NodeId
    cut: bool = False
    delay_ms: Annotated[float, msgspec.Meta(ge=0, le=DELAY_MS_MAX)] = 0.0
    loss: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class _Watch(_Args):
    hz: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    level: Annotated[int, msgspec.Meta(ge=0, le=2)] = 0


class _Accounts(_Args):
    ids: Annotated[list[Count], msgspec.Meta(max_length=inspect.ACCOUNTS_MAX)] | None = None
    after: Count = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=inspect.ACCOUNTS_MAX)] = 1_000
    changed: bool = False


class _Summary(_Args, rename={"first": "from", "last": "to"}):
    first: Count
    last: Count


class _Log(_Args):
    after: Count = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=inspect.LOG_MAX)] = 100


class _Hash(_Args):
    slot: Count = 0


class _Cut(_Args):
    number: Annotated[int, msgspec.Meta(ge=1, lt=2**53)]


class _CutAccounts(_Cut):
    after: Count = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=inspect.ACCOUNTS_MAX)] = 1_000


class _Ends(_Args):
    txs: list[Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}-[0-9]{1,18}$")]] = []


class _Counters(_Args):
    reset: bool = False


class _Move(_Args):
    plan: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2}){1,32}$")]
    part: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    to: int
    accounts: list[Count]


class _Map(_Args):
    after: Count = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=inspect_moves.MAP_MAX)] = inspect_moves.MAP_MAX


class _Nemesis(_Args):
    disk: Literal["", "stall", "fail", "full"] | None = None
    span_ms: Annotated[float, msgspec.Meta(ge=0, le=DELAY_MS_MAX)] = 0.0
    skew_ms: Annotated[float, msgspec.Meta(ge=-SKEW_MS_MAX, le=SKEW_MS_MAX)] | None = None


class _Access(_Args):
    pairs: Count = 0
    sets: Count = 0
    reads: Count = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=ROWS_MAX)] = ROWS_MAX


class Operators:
    """Carries commands out and answers them on the wire they came on."""

    def __init__(self, node: Steered) -> None:
        self._node = node
        self._commands: dict[str, tuple[type[_Args], Callable[[Any, Wire], Any]]] = {
            "status": (_Args, lambda args, wire: node.status()),
            "fail": (_Args, lambda args, wire: node.fail()),
            "recover": (_Args, lambda args, wire: node.recover()),
            "stop": (_Args, lambda args, wire: node.stop()),
            "reset": (_Reset, lambda args, wire: node.reset(args.incarnation)),
            "link": (_Link, self._link),
            "heal": (_Args, lambda args, wire: node.heal()),
            "watch": (_Watch, lambda args, wire: node.watch(wire, args.hz, args.level)),
            "accounts": (_Accounts, self._accounts),
            "summary": (
                _Summary,
                lambda args, wire: inspect.summary(node.replica, args.first, args.last),
            ),
            "log": (_Log, lambda args, wire: inspect.log(node.replica, args.after, args.limit)),
            "views": (_Args, lambda args, wire: inspect.views(node.replica)),
            "locks": (_Args, lambda args, wire: inspect.locks(node.replica)),
            "wal": (_Args, lambda args, wire: inspect.wal(node.replica)),
            "ends": (_Ends, lambda args, wire: inspect.ends(node.replica, args.txs)),
            "cut": (_Cut, lambda args, wire: node.cut(args.number)),
            "audit": (_Cut, self._audit),
            "cut_accounts": (_CutAccounts, self._cut_accounts),
            "move": (_Move, self._move),
            "batches": (_Args, lambda args, wire: inspect_moves.batches(node.replica)),
            "map": (
                _Map,
                lambda args, wire: inspect_moves.shard_map(node.replica, args.after, args.limit),
            ),
            "access": (
                _Access,
                lambda args, wire: node.access.document(args.pairs, args.sets, args.reads, args.limit),
            ),
            "nemesis": (_Nemesis, self._nemesis),
            "hash": (_Hash, lambda args, wire: inspect.hash_at(node.replica, args.slot)),
            "counters": (_Counters, lambda args, wire: node.counters(args.reset)),
            "latency": (_Args, lambda args, wire: node.latency()),
            "clock": (_Args, lambda args, wire: {"wall_us": time.time_ns() // 1_000}),
        }

    def frame(self, wire: Wire, commands: list[Command]) -> None:
        """Answer the commands of one frame."""
        for command in commands:
            reply = codec.encode(self._answer(wire, command))
            if len(reply) > REPLY_BYTES_MAX:
                reply = codec.encode(_refusal(command, "the answer is too large; ask for less of it"))
            wire.send(reply)

    def _answer(self, wire: Wire, command: Command) -> CommandReply:
        known = self._commands.get(command.name)
        if known is None:
            return _refusal(command, f"there is no command {command.name[:40]!r}")
        kind, carry_out = known
        try:
            args = msgspec.convert(command.args, kind)
            body = self._fitting(carry_out, args, wire)
        except msgspec.ValidationError as error:
            return _refusal(command, f"{command.name}: {error}")
        except CommandError as error:
            return _refusal(command, str(error))
        except Exception:
            _log.exception("the command %s failed", command.name)
            return _refusal(command, f"{command.name} failed; the node's log says how")
        return CommandReply(command.id, True, {} if body is None else body)

    def _fitting(self, carry_out: Callable[[Any, Wire], Any], args: _Args, wire: Wire) -> Any:
        """The body, with fewer rows than asked for where that many do not fit a frame."""
        body = carry_out(args, wire)
        while (
            isinstance(args, _Log | _Accounts | _CutAccounts | _Access)
            and args.limit > 1
            and _size(body) > REPLY_BYTES_MAX
        ):
            args.limit //= 2
            body = carry_out(args, wire)
        if isinstance(body, dict) and isinstance(body.get("views"), list):
            while len(body["views"]) > 1 and _size(body) > REPLY_BYTES_MAX:
                body = {**body, "views": body["views"][len(body["views"]) // 2 :], "truncated": True}
        return body

    def _link(self, args: _Link, wire: Wire) -> None:
        self._node.set_link(args.to, LinkFault(args.cut, args.delay_ms, args.loss))

    def _nemesis(self, args: _Nemesis, wire: Wire) -> None:
        """Break the disk, or set the wall clock wrong: only where the process was started for that."""
        done = args.disk is None or self._node.break_disk(args.disk, args.span_ms)
        done = done and (args.skew_ms is None or self._node.skew_clock(args.skew_ms))
        if not done:
            raise CommandError("this bank was not started to be broken; manage.py verify starts one that is")

    def _audit(self, args: _Cut, wire: Wire) -> dict[str, Any]:
        """The report of a cut once it is applied here; null before, and when it is long past."""
        replica = self._node.replica
        machine = replica.machine
        report = machine.audits.get(args.number)
        return {
            "incarnation": replica.incarnation,
            "last": machine.state.audit,
            "report": None if report is None else audit.to_document(report),
        }

    def _move(self, args: _Move, wire: Wire) -> dict[str, Any]:
        """Begin a part of a plan here, or say what became of it: asked again, it is never done twice."""
        replica = self._node.replica
        plan = bytes.fromhex(args.plan)
        if replica.established:
            reason = replica.source.refusal(plan, args.part, args.to, len(args.accounts))
            if reason is not None:
                raise CommandError(reason)
            self._node.move(Move(plan, args.part, args.to, tuple(args.accounts)))
        return {"leads": replica.established, **inspect_moves.part(replica, plan, args.part)}

    def _cut_accounts(self, args: _CutAccounts, wire: Wire) -> dict[str, Any]:
        """Accounts at a cut, ``accounts`` null when this node holds none of it (any more)."""
        replica = self._node.replica
        cut = replica.machine.account_cuts.get(args.number)
        rows, following = (None, None) if cut is None else cut.rows(args.after, args.limit)
        return {"incarnation": replica.incarnation, "accounts": rows, "next": following}

    def _accounts(self, args: _Accounts, wire: Wire) -> dict[str, Any]:
        return inspect.accounts(self._node.replica, args.ids, args.after, args.limit, args.changed)


def _refusal(command: Command, reason: str) -> CommandReply:
    _log.info("refused a command: %s", reason)
    return CommandReply(command.id, False, {"error": reason})


def _size(body: Any) -> int:
    return len(codec.encode(body)) + 32
