"""The bank shell: its language, what it prints, its two ways to a bank."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from rich.console import Console

from consensus.cli.shell.commands import COMMANDS, Shell
from consensus.cli.shell.local import log_entry
from consensus.cli.shell.prompt import ShellCompleter, piped, toolbar
from consensus.cli.shell.rest import SiteTeller
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
from consensus.cluster.reshard import Reshard
from consensus.messages.client import Level
from consensus.testset.parser import parse
from consensus.testset.report import SetReport

PROJECT = Path(__file__).resolve().parents[2]
SETS = PROJECT / "testcases" / "course-testcases.csv"


class FakeTeller:
    title = "fake"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.resharded = Reshard("refused", "", 0.0, 0.0, 0, [])
        self.outcome = "committed"
        self.elsewhere: str | None = None

    async def transfer(self, sender: int, receiver: int, amount: int) -> Transfer:
        self.calls.append(("send", sender, receiver, amount))
        if sender == receiver:
            raise TellerError("not to oneself")
        accounts = {str(sender): {"version": 1, "balance": 9}, str(receiver): {"version": 1, "balance": 11}}
        position = {"cluster": 1, "ballot": [2, 3], "slot": 7, "index": 0}
        reason = None if self.outcome == "committed" else "why"
        return Transfer("id-1", self.outcome, reason, [position], accounts, 2.5)

    async def balance(self, account: int, level: Level = Level.LINEARIZABLE, bound_ms: int = 0) -> Balance:
        self.calls.append(("balance", account, level, bound_ms))
        return Balance(account, 10, 0, 3, 1.0)

    async def summary(self, first: int, last: int) -> Summary:
        self.calls.append(("summary", first, last))
        return Summary(0, None, None, 0) if first > 60 else Summary(3, 9, 11, 30)

    async def printed(self, function: str, argument: str) -> str | None:
        return self.elsewhere and f"{self.elsewhere}: {function} {argument}"

    async def replicas(self, account: int) -> list[Replica]:
        return [Replica(1, "up", 8, 1), Replica(2, "failed", 10, 0), Replica(3, "down", None, None)]

    async def database(self) -> list[NodeAccounts]:
        return [NodeAccounts(1, 4, [(5, 9, 1), (6, 11, 1)], True), NodeAccounts(2, 0, [], False)]

    async def views(self) -> list[ClusterViews]:
        view = {"ballot": [2, 3], "leader": 3, "slot": 8, "watermark": 7, "checkpoint": 0, "slots": [{}, {}]}
        node = {"node": 3, "role": "leader", "state": "up", "ballot": [2, 3], "next_slot": 9}
        return [ClusterViews(1, 3, [view], [node]), ClusterViews(2, 0, [], [])]

    async def log(self, node: int, limit: int) -> list[LogEntry]:
        self.calls.append(("log", node, limit))
        return [LogEntry(1, (1, 1), "applied", "2 transactions [x]")]

    async def reshard(self) -> Reshard:
        self.calls.append(("reshard",))
        return self.resharded

    async def performance(self) -> list[dict[str, Any]]:
        return [{"cluster": 1, "leader": 3, "latency_ms": {"p50": None, "p99": 4.5}}]

    async def fail(self, node: int) -> None:
        self.calls.append(("fail", node))

    async def recover(self, node: int) -> None:
        self.calls.append(("recover", node))

    async def flush(self) -> None:
        self.calls.append(("flush",))

    async def run_set(self, test_set: Any) -> SetReport:
        self.calls.append(("set", test_set.number))
        figures = {"throughput_tps": 0.0, "latency_ms": {"mean": None, "p50": None, "p99": None}}
        return SetReport(test_set.number, [1], [], {"1": {"1": 9}}, [], figures, [])


class Session:
    """A shell on a fake bank, and what it printed."""

    def __init__(self) -> None:
        self.teller = FakeTeller()
        self.out = io.StringIO()
        self.shell = Shell(self.teller, Console(file=self.out, width=200, highlight=False))

    async def type(self, line: str, *, fails: bool = False) -> str:
        self.out.truncate(0)
        self.out.seek(0)
        assert await self.shell.execute(line) is not fails, self.out.getvalue()
        return self.out.getvalue()


@pytest.fixture
def session() -> Session:
    return Session()


async def test_send(session: Session) -> None:
    said = await session.type("send 1 2 3")
    assert session.teller.calls == [("send", 1, 2, 3)]
    assert "committed · c1 slot 7 ballot (2,3) · 1: 9, 2: 11 · 2.5 ms" in said
    session.teller.outcome = "unknown"
    assert "id id-1" in await session.type("SEND 1 2 3")


async def test_reads(session: Session) -> None:
    assert "5: 10 (version 0, slot 3, 1.0 ms)" in await session.type("balance 5")
    for level, asked in (
        ("", (Level.LINEARIZABLE, 0)), ("EVENTUAL", (Level.EVENTUAL, 0)), ("ryw", (Level.RYW, 0)),
        ("bounded", (Level.BOUNDED, 1_000)), ("bounded:40", (Level.BOUNDED, 40)), ("lease", (Level.LEASE, 0)),
    ):  # fmt: skip
        await session.type(f"balance 5 {level}")
        assert session.teller.calls[-1] == ("balance", 5, *asked)
    for wrong in ("strong", "ryw:5", "bounded:0", "bounded:60001"):
        await session.type(f"balance 5 {wrong}", fails=True)
    session.teller.calls.clear()
    said = await session.type("printbalance 5")
    assert "PrintBalance(5) → n1 : 8, n2 : 10, n3 : –; n2 is failed, n3 is down" in said
    said = await session.type("printbalance 1..60")
    assert "PrintBalance(1..60) → min 9, max 11, total 30, count 3" in said
    assert session.teller.calls == [("summary", 1, 60)]
    assert "there are no accounts 61..70" in await session.type("printbalance 61..70", fails=True)
    assert "A must be 1 or more" in await session.type("printbalance 9..1", fails=True)
    assert "B: must be a whole number" in await session.type("printbalance 9..x", fails=True)
    assert "n1 at slot 4: 5=9 (v1), 6=11 (v1), …" in await session.type("printdb")


async def test_views_and_logs(session: Session) -> None:
    said = await session.type("printview")
    assert "NEW-VIEW c1 ballot (2,3) leader n3 slot 8: 2 slots proposed again above 7" in said
    assert "c2 led by nobody" in said
    assert "2 transactions [x]" in await session.type("printlog")
    assert "2 transactions" in await session.type("printlog n2 5")
    assert session.teller.calls == [("log", 3, 10), ("log", 2, 5)]


async def test_faults(session: Session) -> None:
    for line in ("fail 3", "recover n3", "flush"):
        await session.type(line)
    assert session.teller.calls == [("fail", 3), ("recover", 3), ("flush",)]


async def test_performance(session: Session) -> None:
    assert "no transfer was answered" in await session.type("performance")
    await session.type("send 1 2 3")
    said = await session.type("performance")
    assert "1 transfers, mean 2.50 ms" in said
    assert "c1: leader 3, latency_ms (p50 –, p99 4.50)" in said


async def test_sets(session: Session) -> None:
    assert "load FILE first" in await session.type("next", fails=True)
    assert "10 sets" in await session.type(f"load '{SETS}'")
    assert "PrintBalance(1) → n1 : 9" in await session.type("next")
    assert "set 2 skipped" in await session.type("skip")
    assert "7 sets left" in await session.type("next")
    assert [call for call in session.teller.calls if call[0] == "set"] == [("set", 1), ("set", 3)]
    for _ in range(7):
        await session.type("skip")
    assert "last set" in await session.type("skip", fails=True)
    assert "No such file" in await session.type("load /nowhere", fails=True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("transfer 1 2 3", "no such command"),
        ("send 1 2", "usage: send S R AMT"),
        ("send 1 2 3 4", "usage: send S R AMT"),
        ("send 1 2 x", "AMT: must be a whole number"),
        ("send 1 2 1.5", "AMT: must be a whole number"),
        (f"send 1 2 {'9' * 19}", "at most 18 digits"),
        ("send 1 1 1", "not to oneself"),
        ("fail x", "N: must be a whole number"),
        ("printlog 1 0", "LINES: must be 1 to 500"),
        ("help me", "no such command"),
        ("send '1 2", "No closing quotation"),
    ],
)
async def test_errors_are_said_and_change_nothing(session: Session, line: str, said: str) -> None:
    assert said in await session.type(line, fails=True)
    assert not [call for call in session.teller.calls if call[1:2] != (1,)]


async def test_printreshard_tells_what_moved_or_why_nothing_did(session: Session) -> None:
    session.teller.resharded = Reshard("done", "", 66.5, 7.0, 3, [(2007, 1, 2), (9, 3, 1)])
    said = await session.type("printreshard")
    assert "2 of 3 accounts moved" in said and "66.5 % before, 7.0 % predicted" in said
    assert "(2007, c1, c2)\n(9, c3, c1)" in said
    session.teller.resharded = Reshard("refused", "no structure: …", 66.0, 66.0, 0, [])
    assert "nothing moved: no structure" in await session.type("printreshard")


async def test_help_names_every_command(session: Session) -> None:
    said = await session.type("help")
    assert all(name in said for name in COMMANDS)
    assert "send S R AMT" in await session.type("help send")


async def test_comments_and_empty_lines(session: Session) -> None:
    assert await session.type("") == await session.type("# send 1 2 3") == ""


async def test_pipe_goes_on_after_an_error_and_tells_it_in_its_status(session: Session) -> None:
    assert await piped(session.shell, io.StringIO("send 1 2 3\nnonsense\nfail 2\n")) == 1
    assert session.teller.calls == [("send", 1, 2, 3), ("fail", 2)]
    assert await piped(session.shell, io.StringIO("fail 1\nquit\nfail 2\n")) == 0
    assert session.teller.calls[-1] == ("fail", 1)


def test_completion() -> None:
    def complete(text: str) -> list[str]:
        found = ShellCompleter().get_completions(Document(text, len(text)), CompleteEvent())
        return [completion.text for completion in found]

    assert complete("pri") == ["printbalance", "printdb", "printview", "printlog", "printreshard"]
    assert complete("help rec") == ["recover"]
    assert complete("send ") == []
    assert complete(f"load {PROJECT}/testcases/course") == ["-testcases.csv"]
    assert toolbar("send 1 ").startswith("send S R AMT")
    assert "help" in toolbar("unheard-of")


def test_log_entries_in_words() -> None:
    body = {"slot": 3, "ballot": [1, 1], "state": "chosen", "entries": []}
    assert log_entry(body).summary == "no-op"
    body["entries"] = [{"kind": "Transact", "session": "ab" * 16, "items": [{"legs": [1, -1, 2, 1]}]}]
    assert log_entry(body).summary == "1 transactions of session abababab…, first [1, -1, 2, 1]"


# --- through a site -------------------------------------------------------


class FakeSite:
    """A REST server of canned answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any, dict[str, str]]] = []
        self.answers: dict[str, tuple[int, Any]] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                site.asked.append((self.command, self.path, body, dict(self.headers)))
                status, answer = site.answers.get(self.path, (404, {"detail": "nothing there"}))
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _serve

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site() -> Iterator[FakeSite]:
    site = FakeSite()
    yield site
    site.server.shutdown()
    site.server.server_close()


async def test_site_transfer(site: FakeSite) -> None:
    body = {
        "id": "x", "outcome": "aborted", "reason": "insufficient_funds", "positions": [], "accounts": {},
        "latency_ms": 1.5,
    }  # fmt: skip
    site.answers["/api/transactions/"] = (200, body)
    result = await SiteTeller(site.url, "tok").transfer(1, 2, 3)
    assert (result.outcome, result.reason) == ("aborted", "insufficient_funds")
    method, _, sent, headers = site.asked[0]
    assert (method, sent) == ("POST", {"sender": 1, "receiver": 2, "amount": 3})
    assert headers["Authorization"] == "Token tok"
    assert headers["Idempotency-Key"]


async def test_site_balance_at_a_level(site: FakeSite) -> None:
    teller = SiteTeller(site.url, "")
    account = {"balance": 9, "version": 4, "position": {"slot": 7}, "latency_ms": 1.0}
    for query in ("", "?consistency=bounded&max_age_ms=40", "?consistency=ryw"):
        site.answers[f"/api/accounts/5/{query}"] = (200, account)
    assert await teller.balance(5) == Balance(5, 9, 4, 7, 1.0)
    await teller.balance(5, Level.BOUNDED, 40)
    await teller.balance(5, Level.RYW)
    assert site.asked[-1][3]["Session-Position"] == "5=4"


async def test_site_lists(site: FakeSite) -> None:
    site.answers["/api/nodes/"] = (200, {"results": [{"id": 1}, {"id": 2}], "next": None})
    accounts = [{"id": 5, "balance": 9, "version": 1, "epoch": 0}]
    site.answers["/api/nodes/1/db/?limit=1000"] = (200, {"applied": 4, "results": accounts, "next": None})
    assert await SiteTeller(site.url, "").database() == [NodeAccounts(1, 4, [(5, 9, 1)], False)]
    site.answers["/api/nodes/1/"] = (200, {"slots": {"applied": 30}})
    entry = {"slot": 21, "ballot": [1, 1], "state": "applied", "entries": []}
    site.answers["/api/nodes/1/log/?after=20&limit=10"] = (200, {"results": [entry], "next": None})
    assert await SiteTeller(site.url, "").log(1, 10) == [LogEntry(21, (1, 1), "applied", "no-op")]


async def test_site_problems(site: FakeSite) -> None:
    site.answers["/api/nodes/1/fail/"] = (409, {"detail": "an experiment is running", "status": 409})
    with pytest.raises(TellerError, match="an experiment is running"):
        await SiteTeller(site.url, "").fail(1)
    site.answers["/api/accounts/1/"] = (401, {"detail": "not signed in"})
    with pytest.raises(TellerError, match="PAXOS_BANK_TOKEN"):
        await SiteTeller(site.url, "").balance(1)
    site.answers["/api/reset/"] = (502, b"<html>")
    with pytest.raises(TellerError, match="502"):
        await SiteTeller(site.url, "").flush()


async def test_site_runs_sets_and_prints_of_their_bank(site: FakeSite) -> None:
    third = next(each for each in parse(SETS.read_bytes()) if each.number == 3)
    clusters = [{"nodes": [{}, {}, {}], "last_account": last} for last in (3000, 6000, 9000)]
    site.answers["/api/clusters/"] = (200, {"results": clusters, "next": None})
    site.answers["/api/testsets/"] = (200, {"id": 4})
    site.answers["/api/testsets/4/next/"] = (200, {"state": "starting"})
    rows = [{"command": "(1, 2, 3)", "level": "linearizable", "kind": "transfer", "outcome": "committed"}]
    report = {
        "set": 3, "live": [1], "commands": rows, "balances": {"1": {"1": 7}}, "views": [], "notes": [],
        "performance": {"throughput_tps": 1.0, "latency_ms": {"mean": 1.0, "p50": 1.0, "p99": 1.0}},
    }  # fmt: skip
    site.answers["/api/testsets/4/"] = (200, {"state": "ready", "sets": [report]})
    teller = SiteTeller(site.url, "")
    assert await teller.printed("printdb", "") is None, "no set was run: the bank on show is meant"
    told = await teller.run_set(third)
    assert (told.set, told.commands[0].outcome, told.balances) == (3, "committed", {"1": {"1": 7}})
    sent = next(body for method, path, body, _ in site.asked if (method, path) == ("POST", "/api/testsets/"))
    assert (sent["clusters"], sent["nodes"], sent["accounts"]) == (3, 3, 9_000)
    [again] = parse(sent["content"].encode())
    assert (again.number, again.live) == (third.number, third.live)
    assert [each.text for each in again.commands] == [each.text for each in third.commands]
    path = "/api/testsets/4/print/?function=printbalance&argument=1..9"
    site.answers[path] = (200, {"text": "PrintBalance(1..9)"})
    assert await teller.printed("printbalance", "1..9") == "PrintBalance(1..9)"
    site.answers["/api/testsets/4/"] = (200, {"state": "failed", "error": "no ports", "sets": []})
    with pytest.raises(TellerError, match="set 3 failed: no ports"):
        await teller.run_set(third)
    site.answers["/api/reset/"] = (200, {})
    await teller.flush()
    assert await teller.printed("printdb", "") is None


async def test_print_functions_show_the_bank_of_the_last_set(session: Session) -> None:
    session.teller.elsewhere = "private"
    assert "private: printbalance 1..9" in await session.type("printbalance 1..9")
    assert session.teller.calls == []


async def test_site_that_is_not_there() -> None:
    with pytest.raises(TellerError, match="cannot be reached"):
        await SiteTeller("http://127.0.0.1:1", "").flush()
    for wrong in ("localhost:8000", "ftp://x", "http://"):
        with pytest.raises(TellerError, match="expects http"):
            SiteTeller(wrong, "")


async def test_token_of_a_printed_address(site: FakeSite) -> None:
    site.answers["/api/reset/"] = (200, {})
    await SiteTeller(f"{site.url}/?token=abc", "").flush()
    assert site.asked[0][3]["Authorization"] == "Token abc"


# --- a real bank ----------------------------------------------------------


@pytest.mark.process
def test_private_bank_from_a_pipe() -> None:
    lines = [
        "send 1 2 3", "balance 2", "printbalance 2", "send 1 2 100", "fail 1", "send 1 2 1", "printview",
        "recover 1", "printbalance 1..10", "printdb", "printlog 2 3", "performance",
        "send 1 3001 1", "flush", "balance 2",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "manage.py", "bankshell", "--nodes", "3"],
        cwd=PROJECT,
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert said.count("committed") == 3, said
    assert "2: 13 (version 1" in said
    assert "PrintBalance(2) → n1 : 13, n2 : 13, n3 : 13" in said
    assert "PrintBalance(1..10) → min 6, max 14, total 100, count 10" in said
    assert "aborted · insufficient_funds" in said
    assert "NEW-VIEW c1 ballot (2," in said
    assert "n2 at slot" in said
    assert "2: 10 (version 0" in said
