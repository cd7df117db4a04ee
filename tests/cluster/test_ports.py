"""Free ports, busy ports, local addresses."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.cluster import ports


def test_free_ports_differ_and_can_be_listened_on() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    for port in found:
        socket.create_server(("127.0.0.1", port)).close()


def test_free_ports_are_never_the_near_end_of_a_connection() -> None:
    range_file = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first, last = map(int, range_file.read_text().split())
    assert not [port for port in ports.free_ports(20) if first <= port <= last]


@pytest.mark.skipif(sys.platform != "linux", reason="claims are names in Linux' abstract namespace")
def test_a_port_that_another_process_was_given_is_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = "from consensus.cluster import ports; print(*ports.free_ports(1), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", finder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        taken = int(other.stdout.readline())
        with socket.create_server(("127.0.0.1", 0)) as probe:
            fresh = probe.getsockname()[1]
        drawn = iter([taken, fresh])
        monkeypatch.setattr(random, "choice", lambda _: next(drawn))
        assert ports.free_ports(1) == [fresh]
        other.communicate("")


def test_a_busy_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(
            ports.PortBusyError, match=f"port {port} on 127.0.0.1 cannot be used: another program"
        ):
            ports.require_free("127.0.0.1", port)
    ports.require_free("127.0.0.1", port)


def test_addresses_of_other_machines_are_told_apart() -> None:
    assert ports.is_local("127.0.0.1")
    assert not ports.is_local("192.0.2.1")  # RFC 5737: documentation, nobody's
    with pytest.raises(ports.PortBusyError, match="this machine has no such address"):
        ports.require_free("192.0.2.1", 9)
