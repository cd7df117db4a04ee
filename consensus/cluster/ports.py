"""Free TCP ports on this machine, and whether a given one can be listened on."""

from __future__ import annotations

import errno
import random
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

_LOWEST: Final = 15_000
_EPHEMERAL_DEFAULT: Final = 32_768
_TRIES_PER_PORT: Final = 200
_CLAIMS_MAX: Final = 100
_claims: dict[int, socket.socket] = {}
"""Held open: the names of the ports that this process claimed last. They end with it."""


class PortBusyError(OSError):
    """Something else listens on the port, or this user may not; the text says which."""


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return ``count`` different ports that nothing listens on at the moment.

    They lie below the range from which the system numbers outgoing connections: a port of that range can be
    taken, while its node is down, by some connection's near end. All are held open until the last is found,
    so none comes twice, and the last hundred are claimed as long as this process lives, so that no other
    bank that starts at the same time is given them (on Linux). Another program may still take one before it
    is used; whoever starts a listener on it must say so plainly when that happens.

    Raises:
        OSError: too few were found, or ``host`` is not an address of this machine.
    """
    candidates = range(_LOWEST, _ephemeral_start())
    with ExitStack() as stack:
        found: list[int] = []
        for _ in range(count * _TRIES_PER_PORT):
            if len(found) == count:
                return found
            port = random.choice(candidates)
            try:
                stack.enter_context(_listen(host, port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
            else:
                if port not in _claims and claim(port):
                    found.append(port)
    raise OSError(errno.EADDRINUSE, f"no {count} free ports between {candidates.start} and {candidates.stop}")


def require_free(host: str, port: int) -> None:
    """Make sure that ``port`` can be listened on.

    Raises:
        PortBusyError: it cannot; the text names host, port and the reason.
    """
    try:
        _listen(host, port).close()
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "another program uses it",
            errno.EACCES: "this user may not listen there",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }
        reason = reasons.get(error.errno or 0, error.strerror or str(error))
        raise PortBusyError(f"port {port} on {host} cannot be used: {reason}") from error


def claim(port: int) -> bool:
    """Tell other processes of this machine that this one uses the port; False if another told so before."""
    if sys.platform != "linux" or port in _claims:
        return True
    # A name in the abstract namespace belongs to one socket and goes with it: no file can be left behind.
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0paxos-bank-port-{port}")
    except OSError as error:
        name.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    _claims[port] = name
    if len(_claims) > _CLAIMS_MAX:
        _claims.pop(next(iter(_claims))).close()
    return True


def is_local(host: str) -> bool:
    """Whether ``host`` is an address of this machine, so that a node there can be started from here."""
    try:
        _listen(host, 0).close()
    except OSError:
        return False
    return True


def _ephemeral_start() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return _EPHEMERAL_DEFAULT
    return first if first > _LOWEST + 1_000 else _EPHEMERAL_DEFAULT


def _listen(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, proto)
    try:
        # A listener of a moment ago leaves its connections in TIME_WAIT; servers set this option, too.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(1)
    except OSError:
        sock.close()
        raise
    return sock
