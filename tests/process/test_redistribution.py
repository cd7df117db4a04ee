"""All of it over REST on a real bank: learn from traffic, plan, move, survive the site's death, take back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consensus.workload.communities import Traffic
from tests.process.test_site import ROOT, Running, runbank, until

ACCOUNTS = 240
BALANCE = 1_000


def trade(bank: Running, people: Traffic, count: int) -> None:
    """Transfers of communities that are scattered over the clusters."""
    drawn = people.transfers(count)
    pairs = drawn.accounts.reshape(-1, 2) + 1
    orders = [{"sender": int(a), "receiver": int(b), "amount": 1} for a, b in pairs if a != b]
    status, body = bank.rest("POST", "transactions/batch/", orders)
    assert status == 200, body
    outcomes = {result["outcome"] for result in body["results"]}
    assert outcomes <= {"committed", "aborted"}


def site_pid(bank: Running) -> int:
    for pid in bank.children():
        if b"daphne" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError("there is no site")


@pytest.mark.timeout(240)
def test_accounts_that_trade_together_come_together(tmp_path: Path) -> None:
    with runbank(tmp_path / "bank", "--accounts", str(ACCOUNTS), "--balance", str(BALANCE)) as bank:
        people = Traffic("planted", ACCOUNTS, seed=3)
        until(lambda: bank.rest("GET", "access-stats/")[1]["silent"] == [], "every worker answers the site")
        status, body = bank.rest("POST", "redistributions/", {"dry_run": True})
        assert (status, body["status"], body["progress"]["total"]) == (200, "refused", 0)
        assert "too thin" in body["reason"]

        trade(bank, people, 4_000)
        status, stats = bank.rest("GET", "access-stats/")
        assert status == 200 and stats["transactions"] > 3_000 and stats["cross_shard_pct"] > 50
        assert sum(map(sum, stats["history"]["rows"])) > 6_000

        status, plan = bank.rest("POST", "redistributions/", {"dry_run": True})
        assert (status, plan["status"]) == (200, "planned"), plan
        assert plan["before"]["cross_shard_pct"] > 50 > 25 > plan["predicted"]["cross_shard_pct"]
        status, moves = bank.rest("GET", f"redistributions/{plan['id']}/moves/?limit=1000")
        assert [[m["account"], m["from"], m["to"]] for m in moves["results"]] == plan["moves"]
        assert moves["results"][0]["partners_there"] > moves["results"][0]["partners_here"]
        status, levels = bank.rest("GET", f"redistributions/{plan['id']}/levels/")
        assert levels["events"] and levels["snapshot"]["vertices"]

        key = plan["id"]
        assert bank.rest("POST", f"redistributions/{key}/apply/")[0] == 200
        assert bank.rest("POST", f"redistributions/{key}/apply/")[0] == 409
        assert bank.rest("POST", f"redistributions/{key}/pause/")[0] == 200
        os.kill(site_pid(bank), signal.SIGKILL)

        def answers() -> bool:
            try:
                return bank.rest("GET", f"redistributions/{key}/")[0] == 200
            except OSError:
                return False

        until(answers, "the site is back")
        status, body = bank.rest("GET", f"redistributions/{key}/")
        assert body["status"] == "paused"

        def goes_on() -> bool:
            return bank.rest("POST", f"redistributions/{key}/resume/")[0] == 200

        until(goes_on, "the new site takes up what the old one left")

        def over() -> Any:
            found = bank.rest("GET", f"redistributions/{key}/")[1]
            return found if found["status"] not in ("running", "paused") else None

        until(lambda: bank.rest("GET", f"redistributions/{key}/")[1]["progress"]["moved"], "accounts move")
        trade(bank, people, 2_000)
        body = until(over, "everything is moved")
        assert (body["status"], body["progress"]["moved"], body["reason"]) == (
            "done",
            len(plan["moves"]),
            None,
        )

        owners = np.zeros(ACCOUNTS + 1, dtype=int)
        for first, last, cluster in bank.rest("GET", "shard-map/")[1]["ranges"]:
            owners[first : last + 1] = cluster
        expected = np.repeat([0, 1, 2, 3], [1, ACCOUNTS // 3, ACCOUNTS // 3, ACCOUNTS // 3])
        for account, _source, target in plan["moves"]:
            expected[account] = target
        assert owners.tolist() == expected.tolist()
        trade(bank, people, 500)
        status, stats = bank.rest("GET", "access-stats/")
        assert stats["cross_shard_pct"] < 25
        status, audit = bank.rest("GET", "audit/?totals=1")
        assert audit["total"] == ACCOUNTS * BALANCE

        status, undo = bank.rest("POST", f"redistributions/{key}/rollback/")
        assert (status, undo["origin"], undo["undoes"]) == (200, "rollback", key)
        key = undo["id"]
        assert until(over, "everything is back")["status"] == "done"
        assert len(bank.rest("GET", "shard-map/")[1]["ranges"]) == 3
        status, listed = bank.rest("GET", "redistributions/")
        assert [row["status"] for row in listed["results"]] == ["done", "done", "refused"]

        done = subprocess.run(
            [sys.executable, "manage.py", "redistribute", "--site", bank.url, "--dry-run", "--json"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        told = json.loads(done.stdout)
        assert (told["status"], told["observed"]) == ("planned", None)
        assert len(told["moves"]) > 50 and {len(move) for move in told["moves"]} == {3}
