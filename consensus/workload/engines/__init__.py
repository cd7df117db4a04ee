"""Other systems under the same load, started for one command: what the bank is compared with."""

from __future__ import annotations

from typing import Final

PAXOS: Final = "paxos"
POSTGRES: Final = "postgres"
ETCD: Final = "etcd"
ENGINES: Final = (PAXOS, POSTGRES, ETCD)
TITLES: Final = {PAXOS: "Paxos Bank", POSTGRES: "PostgreSQL", ETCD: "etcd"}
