"""The driver of REST: its loads and its judgement, and the little HTTP it speaks."""

from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console

from consensus.cli import rest_bench
from consensus.cli.rest_bench import Transfers, measure, show
from consensus.cluster.private import topology_of
from consensus.topology_file import generate
from consensus.workload.http import Connection, HttpError, Site


def test_a_fifth_of_the_transfers_crosses() -> None:
    transfers = Transfers(generate(accounts=90), 1)
    drawn = [transfers.next() for _ in range(4_000)]
    assert all(each["sender"] != each["receiver"] and 1 <= each["amount"] <= 10 for each in drawn)
    across = sum((each["sender"] - 1) // 30 != (each["receiver"] - 1) // 30 for each in drawn)
    assert across / 4_000 == pytest.approx(0.2, abs=0.03)


def test_an_address_names_host_port_and_token() -> None:
    assert Site.at("http://127.0.0.1:8123/?token=abc") == Site("127.0.0.1", 8123, "abc")


async def test_one_connection_for_many_requests() -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            asked.append(head.split(b"\r\n")[0] + b" " + await reader.readexactly(length))
            known = b"CONTENT-LENGTH: 2\r\n" if len(asked) < 3 else b""
            writer.write(b"HTTP/1.1 202 Accepted\r\n" + known + b"\r\nok")
            if not known:
                writer.close()
                return

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connection = await Connection.open(Site("127.0.0.1", port, "t"))
        assert [await connection.post("/a", body) for body in (b"1", b"22")] == [(202, b"ok")] * 2
        with pytest.raises(HttpError, match="without Content-Length"):
            await connection.post("/a", b"")
        await connection.close()
    assert asked[:2] == [b"POST /a HTTP/1.1 1", b"POST /a HTTP/1.1 22"]


@pytest.mark.process
async def test_loads_are_measured_and_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_bench, "LOADS", ((2, 1), (1, 20)))
    monkeypatch.setattr(rest_bench, "RATE", 40.0)
    result = await measure(topology_of(2, 1, 90, 100_000), 1.0, 1)
    paced, singles, batches = result["loads"]
    assert (paced["failed"], singles["failed"], batches["failed"]) == (0, 0, 0)
    assert 0 < paced["tps"] <= 41
    assert batches["tps"] > singles["tps"] > 0
    rate, latency, batched = result["targets"]
    assert rate["ratio"] == pytest.approx(paced["tps"] / 40, abs=0.01)
    assert latency["value"] == pytest.approx(paced["latency"]["p95"], abs=0.1)
    assert latency["ok"] == (paced["latency"]["p95"] <= rest_bench.P95_MS)
    assert batched["value"] == pytest.approx(batches["tps"], abs=0.1)
    assert result["conserved"]
    console = Console(width=200, file=io.StringIO())
    monkeypatch.setattr(rest_bench, "table_console", lambda: console)
    show(result)
    assert "transfers in batches" in console.file.getvalue()
