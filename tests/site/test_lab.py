"""The lab over REST, with a stand-in for the commands: parameters, progress, verdicts, what is kept."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from bankweb.orchestration.experiments import BENCHMARK, Experiment, experiments
from consensus.simulation.run import record
from consensus.simulation.scenarios import SCENARIOS
from tests.site.fakes import Site, until

SCRIPT = """
import json, sys
from pathlib import Path
told = sys.argv[1:]
if told[0] == "verify":
    fault = {"at_s": 1.5, "kind": "kill", "what": "kill of n4", "node": 4, "phase": "begin", "operations": 70}
    print(json.dumps({"fault": fault}), file=sys.stderr)
    print(json.dumps({"verdict": "ok", "available": True, "told": told}))
elif told[0] == "scenario":
    if "--trace" in told:
        Path(told[told.index("--trace") + 1]).write_bytes(Path(TRACE).read_bytes())
    step = {"caption": "A step.", "told": "done", "ok": True, "over_us": 5, "at_s": 0.1}
    print(json.dumps({"begins": "A step.", "at_us": 4}), file=sys.stderr)
    print(json.dumps({"step": step}), file=sys.stderr)
    print(json.dumps({"ok": True, "steps": [step], "proof": [], "told": told}))
elif told[0] == "report":
    print(json.dumps({"progress": {"case": 1, "ok": True, "done": 1, "of": 15}}), file=sys.stderr)
    case = {"case": 1, "title": "One <case>", "ok": True, "wrong": [], "inputs": [], "sets": []}
    case |= {"benches": [], "reshard": None, "seconds": 2.0}
    print(json.dumps({"cases": [case], "passed": 1, "commit": "abc", "machine": {"cores": 2}}))
else:
    seed = int(told[told.index("--seeds") + 1].split("..")[0])
    step = {"done": 1, "of": 1, "seed": seed, "failed": seed == 13, "committed": 100}
    print(json.dumps({"progress": step}), file=sys.stderr)
    if "--trace" in told and seed != 13:
        Path(told[told.index("--trace") + 1]).write_bytes(Path(TRACE).read_bytes())
    failures = [{"seed": 13, "invariant": "agreement", "schedule": []}] if seed == 13 else []
    print(json.dumps({"failures": failures, "told": told}))
    sys.exit(bool(failures))
"""


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The process that a run starts says what it was told."""
    from bankweb.lab.service import Lab

    trace = tmp_path_factory.mktemp("trace") / "run.ndjson.gz"
    assert record(3, trace, steps=300, scenario="calm") is None
    script = f"TRACE = {str(trace)!r}\n{SCRIPT}"
    real = Lab.options
    monkeypatch.setattr(Lab, "command", lambda self, row: [sys.executable, "-c", script, *real(self, row)])


async def ended(site: Site, key: int) -> Any:
    from bankweb.lab.service import lab

    await until(lambda: lab().running is None and not lab().waiting)
    return (await site.get(f"/api/verdicts/{key}/")).json


async def test_a_single_simulated_run_is_recorded(site: Site) -> None:
    answer = await site.post("/api/verdicts/", {"kind": "simulation", "seed": 3, "scenario": "calm"})
    assert answer.status == 200, answer.text
    assert answer.json["name"] == "calm, seed 3"
    body = await ended(site, answer.json["id"])
    assert (body["status"], body["verdict"], body["error"]) == ("done", "ok", None)
    assert body["progress"] == {"done": 1, "of": 1, "failed": [], "committed": 100}
    recording = (await site.get(f"/api/recordings/{body['recording']}/")).json
    assert (recording["src"], recording["saved"], recording["seed"]) == ("sim", True, 3)
    listed = (await site.get("/api/verdicts/?limit=1")).json["results"]
    assert [row["id"] for row in listed] == [body["id"]]


async def test_a_violation_is_a_verdict_and_no_failed_run(site: Site) -> None:
    answer = await site.post("/api/verdicts/", {"kind": "simulation", "seed": 13, "last": 15})
    body = await ended(site, answer.json["id"])
    assert (body["status"], body["verdict"], body["recording"]) == ("done", "violation", None)
    assert body["progress"]["failed"] == [13]
    assert body["result"]["told"][:5] == ["simulate", "--seeds", "13..15", "--steps", "5000"]


async def test_a_run_without_its_recording_says_so(site: Site) -> None:
    answer = await site.post("/api/verdicts/", {"kind": "simulation", "seed": 13})
    body = await ended(site, answer.json["id"])
    assert body["status"] == "failed" and body["error"].startswith("the run is over, but its recording")


async def test_a_schedule_reaches_the_command_as_a_file(site: Site) -> None:
    fault = {"at_us": 100_000, "kind": "crash_leader", "node": 1, "for_us": 300_000}
    answer = await site.post("/api/verdicts/", {"kind": "simulation", "seed": 3, "schedule": [fault]})
    body = await ended(site, answer.json["id"])
    assert "--schedule" in body["result"]["told"]
    assert body["parameters"]["schedule"] == [fault]


async def test_verify_tells_its_faults_while_it_runs(site: Site) -> None:
    answer = await site.post("/api/verdicts/", {"kind": "verify", "duration": 9, "faults": ["kill"]})
    body = await ended(site, answer.json["id"])
    assert (body["verdict"], body["progress"]["operations"]) == ("ok", 70)
    assert body["progress"]["faults"][0]["node"] == 4
    told = body["result"]["told"]
    assert told == [
        "verify",
        "--duration",
        "9",
        "--faults",
        "kill",
        "--clients",
        "12",
        "--seed",
        "1",
        *told[9:],
    ]
    page = await site.get(f"/lab/{body['id']}/", token=None)
    assert page.status == 302, "nobody is signed in"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": "wish"}, "kind"),
        ({"kind": "simulation", "seed": -1}, "seed"),
        ({"kind": "simulation", "seed": "7"}, "seed"),
        ({"kind": "simulation", "seed": 7, "last": 6}, "last"),
        ({"kind": "simulation", "last": 5_000}, "last"),
        ({"kind": "simulation", "scenario": "flood"}, "scenario"),
        ({"kind": "simulation", "scenario": ["flood"]}, "scenario"),
        ({"kind": "simulation", "scenario": {}}, "scenario"),
        ({"kind": "simulation", "last": 2, "schedule": []}, "schedule"),
        ({"kind": "simulation", "schedule": [{"kind": "crash"}]}, "schedule"),
        ({"kind": "simulation", "schedule": [{"at_us": 1, "kind": "flood"}]}, "schedule"),
        ({"kind": "simulation", "clients": 3}, "clients"),
        ({"kind": "verify", "duration": 4_000}, "duration"),
        ({"kind": "verify", "faults": []}, "faults"),
        ({"kind": "verify", "faults": ["flood"]}, "faults"),
        ({"kind": "verify", "scenario": next(iter(SCENARIOS))}, "scenario"),
    ],
)
async def test_what_cannot_be_run(site: Site, body: dict[str, Any], field: str) -> None:
    answer = await site.post("/api/verdicts/", body)
    assert (answer.status, answer.json["field"]) == (400, field)


async def test_a_verdict_that_is_not_there(site: Site) -> None:
    assert (await site.get("/api/verdicts/99/")).status == 404
    assert (await site.request("DELETE", "/api/verdicts/99/")).status == 404


async def test_a_scenario_is_run_and_listed_with_its_verdict(site: Site) -> None:
    answer = await site.post("/api/scenarios/", {"name": "kill-the-leader"})
    assert (answer.status, answer.json["kind"]) == (200, "scenario"), answer.text
    body = await ended(site, answer.json["id"])
    assert (body["status"], body["verdict"]) == ("done", "ok")
    told = body["result"]["told"]
    assert (told[:3], told[4:]) == (["scenario", "kill-the-leader", "--trace"], ["--json", "--progress"])
    assert body["recording"] is not None, "its film is kept"
    assert [step["caption"] for step in body["progress"]["steps"]] == ["A step."]
    listed = {row["name"]: row for row in (await site.get("/api/scenarios/")).json["results"]}
    assert len(listed) == 8
    assert listed["kill-the-leader"]["last"]["id"] == body["id"]
    assert listed["first-transfer"]["last"] is None


@pytest.mark.parametrize("name", [None, 5, "flood"])
async def test_a_scenario_that_is_none(site: Site, name: Any) -> None:
    answer = await site.post("/api/scenarios/", {"name": name})
    assert (answer.status, answer.json["field"]) == (400, "name")


async def test_a_report_is_filled_in_and_comes_as_a_file(site: Site) -> None:
    answer = await site.post("/api/verdicts/", {"kind": "report"})
    body = await ended(site, answer.json["id"])
    assert (body["verdict"], body["progress"]["of"]) == ("ok", 15)
    file = await site.get(f"/api/verdicts/{body['id']}/report.html")
    assert file.status == 200 and "One &lt;case&gt;" in file.text
    other = await site.post("/api/verdicts/", {"kind": "simulation", "seed": 3})
    await ended(site, other.json["id"])
    assert (await site.get(f"/api/verdicts/{other.json['id']}/report.html")).status == 409
    assert (await site.post("/api/verdicts/", {"kind": "report", "seed": 1})).status == 400


async def test_a_scenario_on_the_bank_on_show_has_it_to_itself(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.lab.service import lab
    from bankweb.observatory.live import live

    answer = await site.post("/api/scenarios/", {"name": "kill-the-leader", "bank": "shown"})
    assert answer.status == 409
    assert "it needs 3 clusters of 3 nodes" in answer.json["detail"]
    for module in ("requests", "cards"):
        monkeypatch.setattr(f"bankweb.lab.{module}.misfit", lambda scenario, topology: "")
    benchmark = Experiment(BENCHMARK, "Benchmark stress", "/benchmarks/4/")
    experiments().take(benchmark)
    await site.sign_in()
    answer = await site.form("/lab/scenarios/kill-the-leader/", bank="shown")
    key = int(answer.headers["location"].strip("/").split("/")[-1])
    await until(lambda: experiments().waiting)
    assert [one.path for one in experiments().waiting] == [f"/lab/{key}/"]
    assert lab().running is None
    experiments().give(benchmark)
    body = await ended(site, key)
    assert body["result"]["told"][2:4] == ["--bank", str(settings.BANK_DATA)]
    assert body["recording"] == live().run
    marks = [event["text"] for event in live().state["feed"] if event["k"] == "mark"]
    assert marks == ["A step."]
    page = (await site.get(f"/lab/{key}/", token=None)).text
    assert 'value="shown"' in page, "the next card goes on with the same bank"
    assert experiments().holders == []


@pytest.mark.parametrize("bank", ["public", 5, None])
async def test_a_bank_that_is_none(site: Site, bank: Any) -> None:
    answer = await site.post("/api/scenarios/", {"name": "first-transfer", "bank": bank})
    assert (answer.status, answer.json["field"]) == (400, "bank")
