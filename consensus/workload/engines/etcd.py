"""etcd as a bank: one cluster of three members that holds every account, a key each.

etcd has no shards, so there are no transfers across any. The value of a key is the balance in decimal; how
often it was put, etcd counts. Settings are etcd's defaults: every member syncs what it appends.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc

from consensus.cluster.ports import free_ports
from consensus.topology import Topology
from consensus.workload.engines.etcd_api import (
    EtcdApi,
    PutRequest,
    RangeRequest,
    RequestOp,
    StatusRequest,
    TxnRequest,
)
from consensus.workload.engines.missing import MissingError

MEMBERS: Final = 3
START_S: Final = 60.0
STOP_S: Final = 10.0
SETTLE_S: Final = 20.0
POLL_S: Final = 0.1
OPERATIONS_MAX: Final = 128
"""Of one transaction, by etcd's default."""
PAGE: Final = 10_000
PREFIX: Final = b"a"
END: Final = b"b"


class EtcdBank(NamedTuple):
    """``ports``: of the members' clients, the leader's first."""

    topology: Topology
    ports: list[int]
    version: str


def key_of(account: int) -> bytes:
    return PREFIX + b"%d" % account


def binary() -> str:
    """Where etcd is.

    Raises:
        MissingError: it is not installed.
    """
    found = shutil.which("etcd")
    if found is None:
        raise MissingError("etcd is not installed here; on Debian: apt-get install etcd-server")
    return found


@asynccontextmanager
async def etcd_bank(topology: Topology) -> AsyncIterator[EtcdBank]:
    """Three members, loaded with the accounts; stopped and deleted at the end.

    Raises:
        MissingError: etcd is not installed.
        RuntimeError: they did not start; the text has the end of what one said.
    """
    program = binary()
    home = Path(tempfile.mkdtemp(prefix="paxos-bank-etcd-"))
    ports = free_ports(2 * MEMBERS)
    client_ports, peer_ports = ports[:MEMBERS], ports[MEMBERS:]
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    processes: list[asyncio.subprocess.Process] = []
    try:
        for i, port in enumerate(client_ports):
            processes += [await _member(program, home, i, port, peer_ports)]
        version, leader = await _elected(client_ports, processes, home)
        bank = EtcdBank(topology, sorted(client_ports, key=lambda port: port != leader), version)
        await _load(bank)
        yield bank
    finally:
        for process in processes:
            if process.returncode is None:
                process.terminate()
        for process in processes:
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
        loop.remove_signal_handler(signal.SIGTERM)
        shutil.rmtree(home, ignore_errors=True)


def _name(member: int) -> str:
    return f"m{member + 1}"


async def _member(
    program: str, home: Path, member: int, port: int, peer_ports: list[int]
) -> asyncio.subprocess.Process:
    url, peer_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_ports[member]}"
    everybody = ",".join(f"{_name(i)}=http://127.0.0.1:{p}" for i, p in enumerate(peer_ports))
    options = {
        "name": _name(member),
        "data-dir": str(home / _name(member)),
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peer_url,
        "initial-advertise-peer-urls": peer_url,
        "initial-cluster": everybody,
        "log-level": "error",
    }
    with (home / f"{_name(member)}.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            program,
            *(f"--{name}={value}" for name, value in options.items()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home,
        )


async def _elected(
    ports: list[int], processes: list[asyncio.subprocess.Process], home: Path
) -> tuple[str, int]:
    """Version, and the client port of the leader that every member names."""
    members = {port: EtcdApi(port) for port in ports}
    try:
        async with asyncio.timeout(START_S):
            while True:
                for i, process in enumerate(processes):
                    if process.returncode is not None:
                        said = (home / f"{_name(i)}.log").read_text("utf-8", "replace")[-500:]
                        raise RuntimeError(f"etcd ended with status {process.returncode}: {said}")
                try:
                    found = {port: await api.status(StatusRequest()) for port, api in members.items()}
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                else:
                    leaders = {status.leader for status in found.values()}
                    if len(leaders) == 1 and 0 not in leaders:
                        (leader,) = (p for p, s in found.items() if s.header.member_id in leaders)
                        return found[leader].version, leader
                await asyncio.sleep(POLL_S)
    finally:
        await asyncio.gather(*(api.close() for api in members.values()))


async def _load(bank: EtcdBank) -> None:
    api = EtcdApi(bank.ports[0])
    value = b"%d" % bank.topology.initial_balance
    try:
        for first in range(1, bank.topology.accounts + 1, OPERATIONS_MAX):
            last = min(first + OPERATIONS_MAX, bank.topology.accounts + 1)
            puts = [
                RequestOp(request_put=PutRequest(key=key_of(account), value=value))
                for account in range(first, last)
            ]
            await api.txn(TxnRequest(success=puts))
    finally:
        await api.close()


async def audit(bank: EtcdBank) -> dict[str, Any]:
    """As :func:`consensus.workload.audit.audit`: the money, and every member like the leader."""
    states = [await _state(port) for port in bank.ports]
    for _ in range(round(SETTLE_S / POLL_S)):
        if len(set(states)) == 1:
            break
        await asyncio.sleep(POLL_S)
        states = [await _state(port) for port in bank.ports]
    total = states[0][0]
    expected = bank.topology.accounts * bank.topology.initial_balance
    agree = len(set(states)) == 1
    return {
        "conserved": total == expected,
        "replicas_agree": agree,
        "audit": {
            "total": total,
            "expected_total": expected,
            "clusters": [{"cluster": 1, "agree": agree, "total": total}],
        },
    }


async def _state(port: int) -> tuple[int, str]:
    """Money, and a digest of every key as that member has it."""
    api = EtcdApi(port)
    total, digest, start = 0, hashlib.blake2b(), PREFIX
    try:
        while True:
            page = await api.range(RangeRequest(key=start, range_end=END, limit=PAGE, serializable=True))
            for kv in page.kvs:
                total += int(kv.value)
                digest.update(b"%s:%s:%d," % (kv.key, kv.value, kv.version))
            if not page.more:
                return total, digest.hexdigest()
            start = page.kvs[-1].key + b"\0"
    finally:
        await api.close()
