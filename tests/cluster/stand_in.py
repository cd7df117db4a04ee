"""A stand-in for a worker: its command line and folder, and a listener that tells a status as a JSON line.

``STAND_IN`` in the environment makes it misbehave: ``refuse`` ends with status 2, ``disk`` with 3,
``broken`` with 1, ``crash`` with 1 half a second after it listens; ``stubborn`` ignores SIGTERM;
``headless`` never leads.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn

from consensus import topology_file


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--node", type=int)
    parser.add_argument("--config")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--bootstrap", action="store_true")
    options = parser.parse_args()
    mode = os.environ.get("STAND_IN", "")
    topology = topology_file.load(options.config)
    node = topology.nodes[options.node]
    print("a first line", flush=True)
    if mode == "refuse":
        refuse("timings.heartbeat_ms: not to my taste", 2)
    if mode == "broken":
        refuse("broke at once", 1)
    if mode == "disk":
        refuse("the disk is full", 3)
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    folder = options.data / f"node-{options.node}"
    learner = not folder.exists() and not options.bootstrap
    (folder / "incarnation-1").mkdir(parents=True, exist_ok=True)
    leads = topology.cluster_by_node[options.node].first_leader == options.node and mode != "headless"
    role = "learner" if learner else "leader" if leads else "follower"
    status = {
        "node": options.node,
        "role": role,
        "pid": os.getpid(),
        "secret": os.environ["PAXOS_BANK_SECRET"],
    }
    listener = socket.create_server((node.host, node.port))
    end = time.monotonic() + 0.5
    while True:
        if mode == "crash":
            listener.settimeout(max(0.0, end - time.monotonic()))
        try:
            connection, _ = listener.accept()
        except (TimeoutError, BlockingIOError):
            refuse("something broke", 1)
        connection.sendall(json.dumps(status).encode() + b"\n")
        connection.close()


def refuse(text: str, status: int) -> NoReturn:
    print(text, file=sys.stderr, flush=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
