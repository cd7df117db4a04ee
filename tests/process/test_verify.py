"""Real processes broken on purpose: the bank passes, and a spoiled history does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from consensus.checker.history import Event, Seen
from consensus.cli.verify_command import judged
from consensus.nemesis.probe import Gap
from consensus.nemesis.run import Outcome, Period
from tests.process.test_site import ROOT


@pytest.mark.timeout(180)
def test_the_bank_survives_faults_and_the_history_says_so(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    done = subprocess.run(
        [sys.executable, "manage.py", "verify", "--duration", "8", "--json", "--history", str(path)],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    assert (document["verdict"], document["anomalies"], document["conserved"]) == ("ok", [], True)
    assert document["acknowledged_lost"] == 0 and document["outcomes"]["ok"] > 500
    assert sum(document["faults_injected"].values()) >= 3
    events = [msgspec.json.decode(line, type=Event) for line in path.read_bytes().splitlines()]
    last = max(n for n, event in enumerate(events) if event.op == "read" and event.accounts)
    changed = {a: Seen(s.version + 1, s.balance) for a, s in events[last].accounts.items()}
    events[last] = msgspec.structs.replace(events[last], accounts=changed)
    assert judged(events, True, {}, {})["verdict"] == "violation"


def test_silence_is_put_down_to_the_faults_of_its_cluster() -> None:
    faults = [
        Period("kill", "…", cluster=1, node=1, leader=True, begin_s=10.0, end_s=12.0),
        Period("pause", "…", cluster=2, node=4, leader=False, begin_s=10.0, end_s=11.0),
    ]
    gaps = {1: [Gap(1.0, 1.1), Gap(9.9, 10.4)], 2: [Gap(11.5, 11.7), Gap(10.5, 10.6)]}
    outcome = Outcome([], faults, gaps, conserved=True)
    assert outcome.injected == {"kill": 1, "pause": 1}
    assert outcome.unavailable_ms() == {"kill": 500.0, "none": 200.0, "pause": 100.0}
    genesis = [Event("bank", "ok", "genesis", "genesis", 0, accounts={1: Seen(0, 5)})]
    document = judged(genesis, True, {}, {"kill": 1_501.0})
    assert (document["verdict"], document["available"]) == ("ok", False)
    assert judged(genesis, False, {}, {})["verdict"] == "violation"
