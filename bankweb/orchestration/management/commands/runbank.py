"""``manage.py runbank``: the bank's local workers and the site, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
import webbrowser
from pathlib import Path
from typing import Any, ClassVar, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from consensus import topology_file
from consensus.cluster import choice, ports
from consensus.cluster.folder import DataFolder, FolderError, write_durably
from consensus.cluster.launcher import LocalBank, StartError
from consensus.cluster.supervisor import Site, Supervisor
from consensus.topology import Topology

HEALTH_PATH: Final = "/api/health/live/"
WORKER_PATH: Final = "/ws/worker/"
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


class Command(BaseCommand):
    help = "Start the local workers of a bank and its site, and print the URL. Ctrl-C stops both."
    requires_system_checks: ClassVar[list[str]] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address of the site (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port of the site (8000)")
        parser.add_argument("--clusters", type=int, help="Paxos groups of a new bank (3)")
        parser.add_argument("--nodes", type=int, help="nodes per cluster of a new bank (3)")
        parser.add_argument("--accounts", type=int, help="accounts of a new bank (9000)")
        parser.add_argument("--balance", type=int, help="money on each account of a new bank (10)")
        parser.add_argument("--data-dir", type=Path, default=settings.BANK_DATA, help="data folder (var)")
        parser.add_argument("--config", type=Path, help="topology file, see manage.py topology")
        parser.add_argument(
            "--ambient",
            action=argparse.BooleanOptionalAction,
            help="let the site send ten transfers a second of its own, or not (default: as it was left)",
        )
        parser.add_argument("--no-open", action="store_true", help="do not open a browser")

    def handle(self, **options: Any) -> None:
        try:
            asyncio.run(self._run(options))
        except (topology_file.TopologyError, FolderError, ports.PortBusyError, StartError) as error:
            self.stderr.write(f"runbank: {error}")
            sys.exit(2)

    def _tell(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    async def _run(self, options: dict[str, Any]) -> None:
        """Start, announce, wait for a signal, stop."""
        supervisor, site_url = self._make(options)
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stopped.set)
        stopping = asyncio.create_task(stopped.wait())
        starting = asyncio.create_task(supervisor.start())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            return
        starting.result()
        folder = supervisor.bank.folder
        try:
            url = f"{site_url}/?token={os.environ.get('PAXOS_BANK_TOKEN') or folder.secret('token')}"
            self._announce(supervisor.bank.topology, folder, url, open_it=not options["no_open"])
            await stopped.wait()
            self._tell("stopping")
        finally:
            folder.url_path.unlink(missing_ok=True)
            await supervisor.stop()

    def _make(self, options: dict[str, Any]) -> tuple[Supervisor, str]:
        """The supervisor, not started, and the URL of its site."""
        host, port = options["host"], options["port"]
        folder = DataFolder(options["data_dir"])
        running = folder.running_pid()
        if running is not None:
            raise StartError(f"the bank in {folder.path} is running already (process {running})")
        sizes = choice.Sizes(*(options[name] for name in choice.Sizes._fields))
        topology = choice.choose(folder, options["config"], sizes, self._tell)
        for warning in topology_file.warnings(topology):
            self._tell(f"warning: {warning}")
        _require_site_port(host, port, topology)
        near = _WILDCARDS.get(host, host)
        authority = f"[{near}]:{port}" if ":" in near else f"{near}:{port}"
        bank = LocalBank(
            topology, folder.path, control_url=f"ws://{authority}{WORKER_PATH}", progress=self._tell
        )
        return self._supervisor(bank, options, near), f"http://{authority}"

    def _supervisor(self, bank: LocalBank, options: dict[str, Any], near: str) -> Supervisor:
        ambient = {None: "fresh", True: "on", False: "off"}[options["ambient"]]
        site = _site(bank.folder, options["host"], options["port"], near, ambient)
        return Supervisor(bank, site, told=self._tell)

    def _announce(self, topology: Topology, folder: DataFolder, url: str, *, open_it: bool) -> None:
        write_durably(folder.url_path, f"{url}\n", mode=0o600)
        nodes = len(topology.nodes)
        self._tell(f"{nodes} nodes in {len(topology.clusters)} clusters, {topology.accounts} accounts")
        self._tell(f"data and logs: {folder.path}")
        self._tell(f"\n  {url}\n\nCtrl-C stops the bank; nothing is lost.")
        seen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"
        if open_it and seen and sys.stdout.isatty():
            webbrowser.open(url)


def _require_site_port(host: str, port: int, topology: Topology) -> None:
    if not 1 <= port <= topology_file.PORT_MAX:
        raise StartError(f"--port: must be 1–{topology_file.PORT_MAX}, not {port}")
    if any(node.port == port for node in topology.nodes.values()):
        raise StartError(f"--port: {port} is the port of a node; choose another")
    try:
        ports.require_free(host, port)
    except ports.PortBusyError as error:
        raise StartError(f"{error}; choose another with --port (make run PORT=…)") from error


def _site(folder: DataFolder, host: str, port: int, near: str, ambient: str) -> Site:
    """Daphne with the bank's data folder; its secrets come from there."""
    environment = {
        **os.environ,
        "PAXOS_BANK_DATA": str(folder.path),
        "PAXOS_BANK_TOPOLOGY": str(folder.topology_path),
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "bankweb.settings.local"),
    }
    if ambient != "fresh":
        environment["PAXOS_BANK_AMBIENT"] = ambient
    environment.setdefault("PAXOS_BANK_AMBIENT", ambient)
    environment.setdefault("PAXOS_BANK_HOSTS", ",".join(_names(host)))
    python = sys.executable
    server = [python, "-m", "daphne", "-b", host, "-p", str(port), "-v", "0", "--websocket_timeout", "-1"]

    async def answers() -> bool:
        return await _answers(near, port)

    return Site(
        prepare=[[python, "manage.py", "migrate", "--no-input", "-v", "0"]],
        command=[*server, "bankweb.asgi:application"],
        environment=environment,
        answers=answers,
    )


def _names(host: str) -> list[str]:
    """Host names under which the site answers."""
    names = ["localhost", "127.0.0.1", "[::1]"]
    if host in _WILDCARDS:
        own = socket.gethostname()
        names.append(own)
        with contextlib.suppress(OSError):
            names += sorted({str(info[4][0]) for info in socket.getaddrinfo(own, None, socket.AF_INET)})
    elif host not in names:
        names.append(f"[{host}]" if ":" in host else host)
    return names


async def _answers(host: str, port: int) -> bool:
    """Whether the site serves requests by now."""
    request = f"GET {HEALTH_PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request.encode())
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return line.split()[1:2] == [b"200"]
