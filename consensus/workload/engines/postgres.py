"""PostgreSQL as a sharded bank: a primary per cluster, two standbys each, PREPARE TRANSACTION across.

A transfer within a shard is one call of a function; one across shards is prepared on each primary and then
committed on each, by the client. A commit waits until one of the two standbys has synced it, too
(``synchronous_standby_names = 'ANY 1'``), so it stands on two of three disks, as a chosen slot does here.

Unlike the bank, nobody takes over when a primary or a client between prepare and commit is lost.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg

from consensus.cluster.ports import free_ports
from consensus.topology import Cluster, Topology
from consensus.types import ClusterId
from consensus.workload.engines.missing import MissingError

STANDBYS: Final = 2
START_S: Final = 60.0
POLL_S: Final = 0.1
USER: Final = "postgres"
DATABASE: Final = "postgres"
SETTLE_S: Final = 20.0
SCHEMA: Final = """
CREATE TABLE accounts (
  id integer PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0), version integer NOT NULL
) WITH (fillfactor = 70);
CREATE FUNCTION pay(ids integer[], deltas bigint[], seen integer[], versions integer[])
  RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  short boolean;
  found integer;
BEGIN
  PERFORM 1 FROM accounts WHERE id = ANY (ids || seen) ORDER BY id FOR UPDATE;
  IF EXISTS (SELECT FROM accounts a JOIN unnest(seen, versions) AS s (id, version) USING (id)
             WHERE a.version <> s.version) THEN RETURN 'condition_failed'; END IF;
  SELECT count(*), bool_or(a.balance + l.delta < 0) INTO found, short
    FROM accounts a JOIN unnest(ids, deltas) AS l (id, delta) USING (id);
  IF found < cardinality(ids) THEN RETURN 'unknown_account'; END IF;
  IF short THEN RETURN 'insufficient_funds'; END IF;
  UPDATE accounts a SET balance = a.balance + l.delta, version = a.version + (l.delta <> 0)::integer
    FROM unnest(ids, deltas) AS l (id, delta) WHERE a.id = l.id;
  RETURN '';
END $$;
"""


STREAMING: Final = """
SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'quorum'
"""
STATE: Final = """
SELECT sum(balance), md5(string_agg(id || ':' || balance || ':' || version, ',' ORDER BY id)) FROM accounts
"""


class Server(NamedTuple):
    """One PostgreSQL process and where it is."""

    port: int
    folder: Path


class Shard(NamedTuple):
    cluster: Cluster
    primary: Server
    standbys: list[Server]


class PostgresBank(NamedTuple):
    """``socket``: folder of the servers' unix sockets."""

    topology: Topology
    shards: dict[ClusterId, Shard]
    socket: Path
    version: str


def binaries() -> Path:
    """Where initdb and the rest are.

    Raises:
        MissingError: PostgreSQL is not installed.
    """
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[-3])
    found = str(places[-1]) if places else shutil.which("initdb")
    if found is None:
        raise MissingError("PostgreSQL is not installed here; on Debian: apt-get install postgresql")
    return Path(found).parent


@asynccontextmanager
async def postgres_bank(topology: Topology, clients: int) -> AsyncIterator[PostgresBank]:
    """Primaries and standbys of every shard, loaded with its accounts; stopped and deleted at the end.

    Raises:
        MissingError: PostgreSQL is not installed.
        RuntimeError: a server did not start; the text has the end of what it said.
    """
    bin_ = binaries()
    home = Path(tempfile.mkdtemp(prefix="paxos-bank-postgres-"))
    home.chmod(0o755)
    if os.getuid() == 0:
        shutil.chown(home, USER)
    ports = iter(free_ports(len(topology.clusters) * (1 + STANDBYS)))
    started: list[Server] = []
    run = _Commands(bin_, home)
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        shards: dict[ClusterId, Shard] = {}
        for cluster in topology.clusters:
            primary = Server(next(ports), home / f"primary-{cluster.id}")
            await run("initdb", "-D", primary.folder, "-A", "trust", "-U", USER, "--no-sync")
            _configure(primary, home, clients, [f"standby_{i + 1}" for i in range(STANDBYS)])
            await run.start(primary, started)
            shards[cluster.id] = Shard(cluster, primary, [])
            await _load(primary, home, cluster, topology.initial_balance)
            for i in range(STANDBYS):
                standby = Server(next(ports), home / f"standby-{cluster.id}-{i + 1}")
                name = f"standby_{i + 1}"
                source = f"host={home} port={primary.port} user={USER} application_name={name}"
                await run(
                    "pg_basebackup", "-D", standby.folder, "-d", source, "-R", "-c", "fast", "-X", "stream"
                )
                _configure(standby, home, clients, [])
                await run.start(standby, started)
                shards[cluster.id].standbys.append(standby)
            await _synchronous(primary, home)
        version = await _version(shards[topology.clusters[0].id].primary, home)
        yield PostgresBank(topology, shards, home, version)
    finally:
        for server in reversed(started):
            await run("pg_ctl", "-D", server.folder, "-m", "immediate", "stop", check=False)
        loop.remove_signal_handler(signal.SIGTERM)
        shutil.rmtree(home, ignore_errors=True)


class _Commands:
    """Runs PostgreSQL's programs; it refuses root, so root becomes its user."""

    def __init__(self, bin_: Path, home: Path) -> None:
        self._bin = bin_
        self._home = home
        self._as_user = ("runuser", "-u", USER, "--") if os.getuid() == 0 else ()

    async def __call__(self, name: str, *arguments: object, check: bool = True) -> None:
        # Into a file: a server that pg_ctl starts would hold a pipe open for as long as it lives.
        with tempfile.TemporaryFile() as said:
            process = await asyncio.create_subprocess_exec(
                *self._as_user,
                str(self._bin / name),
                *map(str, arguments),
                cwd=self._home,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=said,
            )
            if await process.wait() and check:
                said.seek(0)
                words = said.read().decode("utf-8", "replace")[-500:]
                raise RuntimeError(f"{name} failed: {words}")

    async def start(self, server: Server, started: list[Server]) -> None:
        log = server.folder / "server.log"
        started.append(server)
        await self("pg_ctl", "-D", server.folder, "-l", log, "-w", "-t", int(START_S), "start")


def _configure(server: Server, home: Path, clients: int, standbys: list[str]) -> None:
    """Defaults, but for where it listens, how many may come, and whom a commit waits for."""
    # Each client may hold a connection and a prepared transaction on every primary.
    most = clients + 20
    lines = [
        "listen_addresses = ''",
        f"port = {server.port}",
        f"unix_socket_directories = '{home}'",
        f"max_connections = {most}",
        f"max_prepared_transactions = {most}",
        "hot_standby = on",
        "shared_buffers = '128MB'",
        "lock_timeout = '1s'",
        "deadlock_timeout = '50ms'",
    ]
    if standbys:
        lines.append(f"synchronous_standby_names = 'ANY 1 ({', '.join(standbys)})'")
    else:
        lines.append("synchronous_standby_names = ''")
    with (server.folder / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("\n".join(["", *lines, ""]))


async def connect(socket: Path, port: int) -> Any:
    return await asyncpg.connect(host=str(socket), port=port, user=USER, database=DATABASE)


async def _load(server: Server, home: Path, cluster: Cluster, balance: int) -> None:
    connection = await connect(home, server.port)
    try:
        # Its standbys are not there yet: nobody waits for them.
        await connection.execute("SET synchronous_commit = local")
        await connection.execute(SCHEMA)
        await connection.execute(
            "INSERT INTO accounts SELECT id, $3, 0 FROM generate_series($1::integer, $2::integer) AS id",
            cluster.first_account,
            cluster.last_account,
            balance,
        )
        await connection.execute("VACUUM ANALYZE accounts")
    finally:
        await connection.close()


async def _synchronous(server: Server, home: Path) -> None:
    """Wait until both standbys stream."""
    connection = await connect(home, server.port)
    try:
        async with asyncio.timeout(START_S):
            while await connection.fetchval(STREAMING) < STANDBYS:  # noqa: ASYNC110  (it tells nobody)
                await asyncio.sleep(POLL_S)
    finally:
        await connection.close()


async def _version(server: Server, home: Path) -> str:
    connection = await connect(home, server.port)
    try:
        return str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()


async def audit(bank: PostgresBank) -> dict[str, Any]:
    """As :func:`consensus.workload.audit.audit`: the money of all shards, and standbys like their primary."""
    total = 0
    found: list[dict[str, Any]] = []
    for cluster, shard in bank.shards.items():
        states = [await _state(bank, server) for server in (shard.primary, *shard.standbys)]
        for _ in range(round(SETTLE_S / POLL_S)):
            if len(set(states)) == 1:
                break
            await asyncio.sleep(POLL_S)
            states = [await _state(bank, server) for server in (shard.primary, *shard.standbys)]
        total += states[0][0]
        agree = len(set(states)) == 1 and not states[0][2]
        found.append({"cluster": cluster, "agree": agree, "total": states[0][0], "prepared": states[0][2]})
    expected = bank.topology.accounts * bank.topology.initial_balance
    return {
        "conserved": total == expected,
        "replicas_agree": all(entry["agree"] for entry in found),
        "audit": {"total": total, "expected_total": expected, "clusters": found},
    }


async def _state(bank: PostgresBank, server: Server) -> tuple[int, str, int]:
    """Money, a digest of all rows, and prepared transactions that nobody ended."""
    connection = await connect(bank.socket, server.port)
    try:
        row = await connection.fetchrow(STATE)
        prepared = await connection.fetchval("SELECT count(*) FROM pg_prepared_xacts")
        return int(row[0]), str(row[1]), int(prepared)
    finally:
        await connection.close()
