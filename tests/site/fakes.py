"""Stand-ins at the site's two edges: the bank's client, and workers that dial in; and a browser of sorts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from channels.testing import HttpCommunicator, WebsocketCommunicator

from consensus import codec
from consensus.client.errors import ClientError
from consensus.client.results import ReadValues, TxResult, from_outcome
from consensus.messages.client import Level, Outcome
from consensus.messages.control import (
    PROTOCOL_VERSION,
    Command,
    CommandReply,
    Hello,
    Role,
    Telemetry,
    Welcome,
)
from consensus.types import AMBIENT_PREFIX, Ballot, TxId

TIMEOUT_S = 10


class Answer:
    """An HTTP answer."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.status: int = raw["status"]
        self.headers = {name.decode().lower(): value.decode("latin-1") for name, value in raw["headers"]}
        self.cookies = [value.decode() for name, value in raw["headers"] if name.lower() == b"set-cookie"]
        self.body: bytes = raw["body"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class _Http(HttpCommunicator):
    async def receive_output(self, timeout: float = 1) -> Any:
        """A last piece without a body is allowed, and Django sends one after a streamed answer."""
        return {"body": b"", **(await super().receive_output(timeout))}


class Site:
    """Requests through the whole ASGI stack. ``cookies`` are kept between requests, as a browser does."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.cookies: dict[str, str] = {}

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        token: str | None = "the-token",
    ) -> Answer:
        sent = {"host": "localhost"} | {name.lower(): value for name, value in (headers or {}).items()}
        if token is not None:
            sent["authorization"] = f"Token {token}"
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body:
            sent.setdefault("content-length", str(len(body)))
        raw_headers = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
        communicator = _Http(self.application, method, path, body, raw_headers)
        answer = Answer(await communicator.get_response(TIMEOUT_S))
        await communicator.wait(TIMEOUT_S)
        for cookie in answer.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    async def get(self, path: str, **kwargs: Any) -> Answer:
        return await self.request("GET", path, **kwargs)

    async def post(self, path: str, data: Any = None, **kwargs: Any) -> Answer:
        """POST ``data`` as JSON (bytes go as they are)."""
        headers = {"content-type": "application/json"} | kwargs.pop("headers", {})
        body = data if isinstance(data, bytes) else b"" if data is None else json.dumps(data).encode()
        return await self.request("POST", path, body, headers, **kwargs)

    async def form(self, path: str, headers: dict[str, str] | None = None, **fields: Any) -> Answer:
        """POST a form as the signed-in browser, with its CSRF token."""
        page = await self.get("/reset/", token=None)
        secret = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        body = "&".join(
            f"{name}={value}" for name, value in {**fields, "csrfmiddlewaretoken": secret}.items()
        )
        sent = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        return await self.request("POST", path, body.encode(), sent, token=None)

    async def sign_in(self) -> None:
        answer = await self.get("/?token=the-token", token=None)
        assert answer.status == 302

    def live(self, **headers: str) -> WebsocketCommunicator:
        """A connection to the live socket, as the signed-in browser opens it."""
        sent = {"host": "localhost", "origin": "http://localhost", **headers}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        raw_headers = [(name.encode(), value.encode()) for name, value in sent.items() if value]
        return WebsocketCommunicator(self.application, "/ws/live/", raw_headers)


class FakeBank:
    """Keeps balances and outcomes like the real client and its bank, in one dict each.

    ``verdicts``: taken from the front by each submission: ``commit`` (the default when empty),
    ``unknown`` (it commits, nobody hears of it), ``lost`` (it never arrives, nobody hears of it),
    ``refused:<reason>``. ``gate``: while set, submissions wait for it.
    """

    def __init__(self, accounts: int, balance: int) -> None:
        self.balances = dict.fromkeys(range(1, accounts + 1), balance)
        self.versions = dict.fromkeys(range(1, accounts + 1), 0)
        self.verdicts: list[str] = []
        self.gate: asyncio.Event | None = None
        self.stored: dict[TxId, Outcome] = {}
        self.submitted: list[tuple[TxId, tuple[int, ...]]] = []
        self.reserved: set[TxId] = set()
        self.read_refusal = ""
        self.reads: list[tuple[Any, ...]] = []
        self.starts = self.closes = 0
        self._number = 0
        self.session = bytes(range(16))

    async def start(self) -> None:
        self.starts += 1

    async def close(self) -> None:
        self.closes += 1

    def cluster_of(self, account: int) -> int:
        return 1 if account <= len(self.balances) // 2 else 2

    def new_tx_id(self, *, keep: bool = False, ambient: bool = False) -> TxId:
        self._number += 1
        tx_id = TxId(AMBIENT_PREFIX + self.session[4:] if ambient else self.session, self._number)
        self.reserved.add(tx_id)
        return tx_id

    def drop_tx_id(self, tx_id: TxId) -> None:
        if tx_id not in self.reserved:
            raise ClientError(f"{tx_id} is not an unused id of this client")
        self.reserved.remove(tx_id)

    def _apply(self, tx_id: TxId, legs: tuple[int, ...]) -> Outcome:
        pairs = list(zip(legs[::2], legs[1::2], strict=True))
        short = any(self.balances[account] + delta < 0 for account, delta in pairs)
        for account, delta in () if short else pairs:
            self.balances[account] += delta
            self.versions[account] += 1
        seen = tuple(
            value for account, _ in pairs for value in (self.versions[account], self.balances[account])
        )
        homes = dict.fromkeys(self.cluster_of(account) for account, _ in pairs)
        parts = tuple(value for home in list(homes)[1:] if not short for value in (home, 7, 0, 1, 4))
        outcome = Outcome(int(short), len(self.stored) + 1, 0, Ballot(1, 1), seen, parts)
        self.stored[tx_id] = outcome
        return outcome

    def submit_nowait(
        self,
        legs: tuple[int, ...],
        on_done: Callable[[TxResult], None],
        conditions: tuple[int, ...] = (),
        deadline_s: float | None = None,
        tx_id: TxId | None = None,
    ) -> TxId:
        clusters = tuple(dict.fromkeys(self.cluster_of(account) for account in legs[::2]))
        if tx_id is not None and tx_id not in self.reserved:
            raise ClientError(f"{tx_id} is not an unused id of this client")
        tx_id = tx_id or self.new_tx_id()
        self.reserved.discard(tx_id)
        self.submitted.append((tx_id, legs))
        verdict = self.verdicts.pop(0) if self.verdicts else "commit"
        asyncio.get_running_loop().create_task(self._answer(tx_id, legs, clusters, verdict, on_done))
        return tx_id

    async def _answer(
        self,
        tx_id: TxId,
        legs: tuple[int, ...],
        clusters: tuple[int, ...],
        verdict: str,
        on_done: Callable[[TxResult], None],
    ) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if verdict.startswith("refused:"):
            on_done(TxResult(tx_id, "refused", verdict[8:], clusters, legs, None, 0, 1.5))
            return
        if verdict != "lost":
            outcome = self._apply(tx_id, legs)
        if verdict == "commit":
            on_done(from_outcome(tx_id, clusters, legs, outcome, 0, 1.5))
        else:
            on_done(TxResult(tx_id, "unknown", "no_answer", clusters, legs, None, 0, 1.5))

    async def submit(
        self,
        legs: tuple[int, ...],
        conditions: tuple[int, ...] = (),
        *,
        tx_id: TxId | None = None,
        keep: bool = False,
    ) -> TxResult:
        future: asyncio.Future[TxResult] = asyncio.get_running_loop().create_future()
        self.submit_nowait(legs, future.set_result, conditions, None, tx_id)
        return await future

    async def resolve(self, tx_id: TxId, *, cluster: int, deadline_s: float | None = None) -> TxResult:
        outcome = self.stored.setdefault(tx_id, Outcome(6, len(self.stored) + 1, 0, Ballot(1, 1), ()))
        return from_outcome(tx_id, (cluster,), (), outcome, 0, 2.0)

    async def read(
        self, accounts: tuple[int, ...], level: Level, *, bound_ms: int = 0, versions: tuple[int, ...] = ()
    ) -> ReadValues:
        self.reads.append((accounts, level, bound_ms, versions))
        if self.read_refusal:
            return ReadValues("refused", self.read_refusal, 1, 0, {}, 0, 1.0)
        values = {account: (self.versions[account], self.balances[account]) for account in accounts}
        return ReadValues("ok", None, self.cluster_of(accounts[0]), len(self.stored), values, 0, 1.0)


class FakeWorker:
    """A worker's end of the control connection. ``answers``: command name to body or callable."""

    def __init__(self, application: Any, node: int, leader: int, secret: str = "the-secret") -> None:
        self.node = node
        self.leader = leader
        self.commands: list[Command] = []
        self.answers: dict[str, Any] = {
            name: {} for name in ("watch", "fail", "recover", "reset", "link", "heal")
        }
        self.silent: set[str] = set()
        self.closed_with: int | None = None
        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {secret}".encode())]
        self.socket = WebsocketCommunicator(application, "/ws/worker/", headers)
        self._serving: asyncio.Task[None] | None = None
        self.seq = 0
        self.last_cut = 0
        self.state = "up"

    @property
    def status(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "cluster": 1 if self.node < 4 else 2,
            "incarnation": 1,
            "role": "leader" if self.node == self.leader else "follower",
            "state": self.state,
            "ballot": [1, self.leader],
            "leader": self.leader,
            "watermark": 7,
            "applied": 7,
            "proposed": 7,
            "checkpoint": 0,
            "lag": 0,
            "queue": 0,
            "in_flight": 0,
            "sessions": 1,
            "epoch": 0,
            "counters": {"transactions_total": 5, "elections_won": 1},
            "journal_bytes": 100,
            "uptime_s": 4.5,
            "hash": {"slot": 0, "hash": "ab"},
        }

    def hold(self, balances: int, rows: list[list[Any]] | None = None, **parts: Any) -> None:
        """Make audit cuts of a cluster that holds ``balances``, ``rows`` as ``cut_accounts`` tells them."""
        cluster = self.status["cluster"]
        report = {"cluster": cluster, "slot": 7, "accounts": 30, "balances": balances} | {
            "prepared": [],
            "committed": [],
            "leaving": [],
            "arrived": [],
            **parts,
        }

        def cut(number: int) -> dict[str, Any]:
            self.last_cut = max(number, self.last_cut)
            return {}

        def audit(number: int) -> dict[str, Any]:
            made = number == self.last_cut
            told = {**report, "number": number} if made else None
            return {"incarnation": 1, "last": self.last_cut, "report": told}

        def cut_accounts(number: int, after: int, limit: int) -> dict[str, Any]:
            page = [row for row in rows or [] if row[0] > after][:limit]
            more = rows and page and page[-1] != rows[-1]
            return {"incarnation": 1, "accounts": page, "next": page[-1][0] if more else None}

        self.answers |= {"cut": cut, "audit": audit, "cut_accounts": cut_accounts}

    async def connect(self) -> None:
        connected, _ = await self.socket.connect(TIMEOUT_S)
        assert connected
        await self.send(Hello(PROTOCOL_VERSION, Role.OPERATOR, self.node, 1, f"node {self.node}"))
        _, [welcome] = codec.decode_frame(await self.socket.receive_from(TIMEOUT_S))
        assert isinstance(welcome, Welcome)
        self._serving = asyncio.create_task(self._serve())

    async def send(self, message: Any) -> None:
        await self.socket.send_to(bytes_data=codec.frame(1, [codec.encode(message)], 1))

    async def report(self, *events: dict[str, Any], dropped: int = 0) -> None:
        self.seq += 1
        await self.send(Telemetry(self.seq, self.status, list(events), dropped))

    async def _serve(self) -> None:
        while True:
            output = await self.socket.receive_output(3600)
            if output["type"] == "websocket.close":
                self.closed_with = output["code"]
                return
            _, messages = codec.decode_frame(output["bytes"])
            for command in messages:
                assert isinstance(command, Command)
                self.commands.append(command)
                if command.name in self.silent:
                    continue
                await self._answer(command)

    async def _answer(self, command: Command) -> None:
        if command.name == "status":
            await self.send(CommandReply(command.id, True, self.status))
        elif command.name in self.answers:
            body = self.answers[command.name]
            await self.send(CommandReply(command.id, True, body(**command.args) if callable(body) else body))
        else:
            await self.send(CommandReply(command.id, False, {"error": f"unknown command {command.name}"}))

    def heard(self, name: str) -> list[dict[str, Any]]:
        """Arguments of the commands of one name."""
        return [command.args for command in self.commands if command.name == name]

    async def close(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
        await self.socket.disconnect(timeout=TIMEOUT_S)


async def until(condition: Callable[[], Any], what: str = "") -> None:
    """Wait until ``condition`` holds; fails after ten seconds."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():  # noqa: ASYNC110  (conditions here are of many kinds)
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"did not happen: {what or condition}") from None
