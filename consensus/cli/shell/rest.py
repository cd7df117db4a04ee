"""The shell's way through a site: its REST interface, over the standard library's HTTP client."""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from consensus.cli.shell.local import log_entry
from consensus.cli.shell.teller import (
    Balance,
    ClusterViews,
    LogEntry,
    NodeAccounts,
    Replica,
    Summary,
    TellerError,
    Transfer,
)
from consensus.client.seen import Seen
from consensus.cluster.reshard import Reshard
from consensus.messages.client import Level
from consensus.testset.parser import TestSet
from consensus.testset.report import SetReport
from consensus.types import AccountId, NodeId

TOKEN_VARIABLE: Final = "PAXOS_BANK_TOKEN"
TIMEOUT_S: Final = 120.0
"""A plan for a million accounts takes half a minute."""
BODY_BYTES_MAX: Final = 16 << 20
PAGE: Final = 1_000
POLL_S: Final = 0.2
"""How often a set that runs at the site is asked about."""


class SiteTeller:
    """A bank behind a site.

    Args:
        url: where the site is, for example ``http://127.0.0.1:8000``; a ``?token=`` in it counts.
        token: what REST asks for.

    Raises:
        TellerError: the address is not one.
    """

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TellerError(f"--site expects http://host:port, not {url!r:.80}")
        for word in parts.query.split("&"):
            name, _, value = word.partition("=")
            if name == "token" and not token:
                token = value
        self._seen = Seen()
        self._parts = parts
        self._token = token
        self._run: int | None = None  # the run of the last set; its bank is what the Print functions show
        self.title = f"bank behind {parts.scheme}://{parts.netloc}"

    async def transfer(self, sender: AccountId, receiver: AccountId, amount: int) -> Transfer:
        order = {"sender": sender, "receiver": receiver, "amount": amount}
        # The key makes a repeated request harmless; the site answers with the stored outcome.
        body = await self._ask("POST", "transactions/", order, {"Idempotency-Key": secrets.token_hex(16)})
        self._seen.note(body["accounts"])
        return Transfer(
            body["id"],
            body["outcome"],
            body["reason"],
            body["positions"],
            body["accounts"],
            body["latency_ms"],
        )

    async def balance(
        self, account: AccountId, level: Level = Level.LINEARIZABLE, bound_ms: int = 0
    ) -> Balance:
        query = "" if level == Level.LINEARIZABLE else f"?consistency={level.name.lower()}"
        query += f"&max_age_ms={bound_ms}" if level == Level.BOUNDED else ""
        (version,) = self._seen.versions([account])
        headers = {"Session-Position": f"{account}={version}"} if level == Level.RYW else None
        body = await self._ask("GET", f"accounts/{account}/{query}", None, headers)
        self._seen.note_versions([(account, body["version"])])
        return Balance(
            account, body["balance"], body["version"], body["position"]["slot"], body["latency_ms"]
        )

    async def replicas(self, account: AccountId) -> list[Replica]:
        body = await self._ask("GET", f"accounts/{account}/replicas/")
        return [
            Replica(row["node"], row["state"], row["balance"], row["version"]) for row in body["replicas"]
        ]

    async def summary(self, first: AccountId, last: AccountId) -> Summary:
        body = await self._ask("GET", f"accounts/summary/?from={first}&to={last}")
        return Summary(body["count"], body["min"], body["max"], body["total"])

    async def database(self) -> list[NodeAccounts]:
        found = []
        for row in (await self._ask("GET", "nodes/"))["results"]:
            node = row["id"]
            try:
                body = await self._ask("GET", f"nodes/{node}/db/?limit={PAGE}")
            except TellerError:
                continue  # a node that is down has nothing to show
            accounts = [(each["id"], each["balance"], each["version"]) for each in body["results"]]
            found.append(NodeAccounts(node, body["applied"], accounts, body["next"] is not None))
        return found

    async def views(self) -> list[ClusterViews]:
        rows = (await self._ask("GET", "views/"))["results"]
        return [ClusterViews(row["cluster"], row["leader"] or 0, row["views"], row["nodes"]) for row in rows]

    async def log(self, node: NodeId, limit: int) -> list[LogEntry]:
        status = await self._ask("GET", f"nodes/{node}/")
        after = max(0, int(status["slots"]["applied"] or 0) - limit)
        body = await self._ask("GET", f"nodes/{node}/log/?after={after}&limit={min(limit, PAGE)}")
        return [log_entry(entry) for entry in body["results"]]

    async def performance(self) -> list[dict[str, Any]]:
        figures: list[dict[str, Any]] = (await self._ask("GET", "performance/"))["clusters"]
        return figures

    async def redistribute(
        self,
        dry_run: bool,
        max_moves: int | None,
        told: Callable[[dict[str, Any]], None],
        wait_s: float = 0.0,
    ) -> dict[str, Any]:
        """Plan at the site and, unless ``dry_run``, carry it out and wait; the document of REST.

        ``told`` is called with it about once a second meanwhile. ``wait_s``: for a window that can tell.
        """
        order: dict[str, Any] = {"dry_run": dry_run, "wait_s": wait_s}
        if max_moves is not None:
            order["max_moves"] = max_moves
        body = await self._ask("POST", "redistributions/", order)
        while body["status"] in ("running", "paused"):
            told(body)
            await asyncio.sleep(1.0)
            body = await self._ask("GET", f"redistributions/{body['id']}/")
        return body

    async def benchmark(
        self, order: dict[str, Any], told: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Run a benchmark at the site and wait for its end; ``told`` hears of it once a second."""
        body = await self._ask("POST", "benchmarks/", order)
        while body["status"] in ("queued", "running"):
            told(body)
            await asyncio.sleep(1.0)
            body = await self._ask("GET", f"benchmarks/{body['id']}/")
        return body

    async def reshard(self) -> Reshard:
        body = await self.redistribute(False, None, lambda body: None)
        moves = [(move[0], move[1], move[2]) for move in body["moves"]] if body["status"] == "done" else []
        return Reshard(
            body["status"],
            body["reason"] or "",
            (body["before"] or {}).get("cross_shard_pct", 0.0),
            (body["predicted"] or {}).get("cross_shard_pct", 0.0),
            body["progress"]["total"],
            moves,
        )

    async def order(self, path: str, body: Any = None) -> dict[str, Any]:
        """POST to an address below ``/api/``; the document that comes back."""
        return await self._ask("POST", path, body)

    async def document(self, path: str) -> dict[str, Any]:
        """GET an address below ``/api/``."""
        return await self._ask("GET", path)

    async def fail(self, node: NodeId) -> None:
        await self._ask("POST", f"nodes/{node}/fail/")

    async def recover(self, node: NodeId) -> None:
        await self._ask("POST", f"nodes/{node}/recover/")

    async def flush(self) -> None:
        self._run = None
        await self._ask("POST", "reset/")
        self._seen.clear()

    async def run_set(self, test_set: TestSet) -> SetReport:
        """On a private bank of the site, as large as the one on show; that one is not touched."""
        self._run = await self._new_run(test_set)
        await self._ask("POST", f"testsets/{self._run}/next/")
        while True:
            body = await self._ask("GET", f"testsets/{self._run}/")
            if body["state"] == "failed":
                raise TellerError(f"set {test_set.number} failed: {body['error']}")
            if body["state"] == "ready":
                return msgspec.convert(body["sets"][-1], SetReport)
            await asyncio.sleep(POLL_S)

    async def printed(self, function: str, argument: str) -> str | None:
        if self._run is None:
            return None
        query = urlencode({"function": function, "argument": argument})
        return str((await self._ask("GET", f"testsets/{self._run}/print/?{query}"))["text"])

    async def _new_run(self, test_set: TestSet) -> int:
        clusters = (await self._ask("GET", "clusters/"))["results"]
        body = {
            "name": f"set {test_set.number}, from a shell",
            "content": to_csv(test_set),
            "clusters": len(clusters),
            "nodes": len(clusters[0]["nodes"]),
            "accounts": max(cluster["last_account"] for cluster in clusters),
        }
        return int((await self._ask("POST", "testsets/", body))["id"])

    async def _ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        try:
            return await asyncio.to_thread(self._request, method, path, body, headers or {})
        except (OSError, http.client.HTTPException) as error:
            raise TellerError(f"{self._parts.netloc} cannot be reached: {error}") from error

    def _request(self, method: str, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(self._parts.hostname), self._parts.port, timeout=TIMEOUT_S)
        try:
            sent = {"Accept": "application/json", **headers}
            if self._token:
                sent["Authorization"] = f"Token {self._token}"
            data = None
            if body is not None:
                data = json.dumps(body).encode()
                sent["Content-Type"] = "application/json"
            connection.request(method, f"/api/{path}", data, sent)
            answer = connection.getresponse()
            return _document(answer.status, answer.read(BODY_BYTES_MAX))
        finally:
            connection.close()


def to_csv(test_set: TestSet) -> str:
    """A file that holds this set alone."""
    rows = ["Set Number,Transactions,Live Nodes"]
    live = ", ".join(f"n{node}" for node in test_set.live)
    rows.append(f'{test_set.number},,"[{live}]"')
    rows += [f',"{command.text}",' for command in test_set.commands]
    return "\n".join(rows) + "\n"


def _document(status: int, data: bytes) -> dict[str, Any]:
    """The body of an answer; a problem document becomes an error."""
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise TellerError(f"the site answered {status} with something that is not a JSON object")
    if status >= 400:
        detail = document.get("detail") or document.get("title") or "no reason given"
        hint = "; give --token or set PAXOS_BANK_TOKEN" if status == 401 else ""
        raise TellerError(f"{detail}{hint}")
    return document
