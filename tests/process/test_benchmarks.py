"""Benchmarks over REST, on a private bank and on the one on show: queued, cancelled, with figures."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.process.test_site import ROOT, Running, runbank, until


def ended(bank: Running, key: int) -> Any:
    def over() -> Any:
        status, body = bank.rest("GET", f"benchmarks/{key}/")
        assert status == 200
        return body if body["status"] in ("done", "failed", "cancelled") else None

    return until(over, f"benchmark {key} is over")


def downloaded(bank: Running, key: int, name: str) -> str:
    request = urllib.request.Request(
        f"{bank.base}/api/benchmarks/{key}/{name}", headers={"Authorization": f"Token {bank.token}"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.headers["Content-Disposition"].startswith("attachment")
        text: str = response.read().decode()
        return text


@pytest.mark.timeout(240)
def test_benchmarks_over_rest(tmp_path: Path) -> None:
    with runbank(tmp_path / "bank", "--accounts", "90", "--balance", "500") as bank:
        small = {"transactions": 300, "clients": 6, "warmup": 0}
        status, shown = bank.rest(
            "POST", "benchmarks/", {"preset": "communities", "bank": "shown", "amount": 1, **small}
        )
        assert (status, shown["bank"]) == (200, "shown")
        status, private = bank.rest(
            "POST",
            "benchmarks/",
            {"name": "mine", "accounts": 60, "clusters": 2, "nodes": 1, "generators": 2, **small},
        )
        assert (status, private["status"]) == (200, "queued")
        status, late = bank.rest("POST", "benchmarks/", {"duration": 600.0})
        assert bank.rest("DELETE", f"benchmarks/{late['id']}/")[1]["status"] == "cancelled"

        body = ended(bank, shown["id"])
        assert (body["status"], body["error"]) == ("done", None)
        result = body["result"]
        assert result["conserved"] and result["replicas_agree"] and result["committed"] > 200
        assert (result["parameters"]["accounts"], result["parameters"]["balance"]) == (90, 500)
        assert body["machine"]["cores"] >= 1

        body = ended(bank, private["id"])
        assert (body["status"], body["name"], body["error"]) == ("done", "mine", None)
        assert body["result"]["parameters"]["clusters"] == 2
        rows = list(csv.reader(io.StringIO(downloaded(bank, private["id"], "results.csv"))))
        assert ["parameter", "accounts", "60"] in rows
        assert json.loads(downloaded(bank, private["id"], "results.json")) == body["result"]
        report = downloaded(bank, private["id"], "report.html")
        assert f"Benchmark {private['id']}: mine" in report and "Plotly" in report
        assert body["result"]["generators"]["processes"] == 2

        status, running = bank.rest("POST", "benchmarks/", {"duration": 600.0, "accounts": 60})
        until(lambda: bank.rest("GET", f"benchmarks/{running['id']}/")[1]["progress"], "it is on its way")
        assert bank.rest("DELETE", f"benchmarks/{running['id']}/")[0] == 200
        assert ended(bank, running["id"])["status"] == "cancelled"

        done = subprocess.run(
            [
                *(sys.executable, "manage.py", "bench", "--site", bank.url, "--transactions", "200"),
                *("--clients", "5", "--amount", "1", "--warmup", "0", "--json"),
            ],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        told = json.loads(done.stdout)
        assert told["conserved"] and told["parameters"]["accounts"] == 90
        for wrong in ({"bank": "shown", "accounts": 60}, {"clients": 0}, {"preset": "no"}, {"x": 1}):
            assert bank.rest("POST", "benchmarks/", wrong)[0] == 400
        status, listed = bank.rest("GET", "benchmarks/")
        assert [row["status"] for row in listed["results"]] == [
            "done",
            "cancelled",
            "cancelled",
            "done",
            "done",
        ]
