"""Runs simulations and verifications, each in a process of its own, one after the other."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.urls import reverse

from bankweb.lab.models import Verdict
from bankweb.lab.records import records
from bankweb.observatory import recordings
from bankweb.observatory.live import live
from bankweb.orchestration.experiments import SCENARIO as EXPERIMENT
from bankweb.orchestration.experiments import Experiment
from bankweb.orchestration.hub import hub
from bankweb.runs.processes import Processes
from consensus.trace.events import TraceError

SIMULATION: Final = "simulation"
VERIFY: Final = "verify"
SCENARIO: Final = "scenario"
REPORT: Final = "report"
SHOWN: Final = "shown"
PRIVATE: Final = "private"
PAUSE_S: Final = "1.5"
"""Between steps of a scenario on the bank on show: people look on."""
FILM_PREFIX: Final = "scenario-"
FILMS_KEPT: Final = 20
"""Recordings of scenarios; the oldest make room."""
FAULTS_SHOWN_MAX: Final = 600
FAILED_SHOWN_MAX: Final = 100


class Lab(Processes[Verdict]):
    """Of this process."""

    noun = "run of the lab"

    def __init__(self) -> None:
        super().__init__(records)

    def options(self, row: Verdict) -> list[str]:
        if row.kind == VERIFY:
            return ["verify", *_verify_options(row.parameters), "--json", "--progress"]
        if row.kind == SCENARIO:
            where = (
                ["--bank", str(settings.BANK_DATA), "--pause", PAUSE_S]
                if on_show(row)
                else ["--trace", str(_film(row))]
            )
            return ["scenario", row.parameters["scenario"], *where, "--json", "--progress"]
        if row.kind == REPORT:
            return ["report", "--json", "--progress"]
        options = ["simulate", *_simulate_options(row.parameters), "--json", "--progress"]
        if "schedule" in row.parameters:
            path = _file(row, "schedule.json")
            path.write_text(json.dumps(row.parameters["schedule"]), encoding="utf-8")
            options += ["--schedule", str(path)]
        if _single(row):
            options += ["--trace", str(_film(row))]
        return options

    def experiment(self, row: Verdict) -> Experiment | None:
        if not on_show(row):
            return None
        return Experiment(EXPERIMENT, row.name, reverse("verdict", args=[row.pk]))

    def begins(self, row: Verdict) -> None:
        if on_show(row):
            row.recording = live().run

    def heard(self, row: Verdict, line: dict[str, Any]) -> None:
        told = row.progress
        if "begins" in line:
            row.progress = {"steps": told.get("steps", []), "begins": line["begins"]}
            if on_show(row):
                hub().happened({"k": "mark", "n": 0, "ts": line["at_us"], "text": line["begins"]})
            return
        if row.kind == VERIFY:
            fault = line["fault"]
            faults = [*told.get("faults", ()), fault]
            row.progress = {
                "seconds": fault["at_s"],
                "operations": fault["operations"],
                "faults": faults[-FAULTS_SHOWN_MAX:],
            }
            return
        if row.kind == SCENARIO:
            row.progress = {"steps": [*told.get("steps", ()), line["step"]]}
            return
        if row.kind == REPORT:
            row.progress = line["progress"]
            return
        step = line["progress"]
        failed = told.get("failed", [])
        if step["failed"] and len(failed) < FAILED_SHOWN_MAX:
            failed = [*failed, step["seed"]]
        committed = told.get("committed", 0) + step["committed"]
        row.progress = {"done": step["done"], "of": step["of"], "failed": failed, "committed": committed}

    def kept(self, row: Verdict) -> dict[str, Any]:
        return {"recording": row.recording}

    async def judged(self, row: Verdict, result: dict[str, Any], status: int) -> str:
        """Finding a violation is what a run is for; it does not make it a failed one."""
        if row.kind == SCENARIO and not on_show(row):
            await asyncio.to_thread(recordings.trim_saved, FILM_PREFIX, FILMS_KEPT)
        elif not _single(row):
            return ""
        path = _film(row)
        try:
            saved = await asyncio.to_thread(_taken_in, path)
        except (OSError, TraceError, recordings.FullError) as error:
            return f"the run is over, but its recording is not kept: {error}"
        finally:
            path.unlink(missing_ok=True)
        row.recording = saved.name.removesuffix(recordings.SEGMENT_SUFFIX)
        return ""


def on_show(row: Verdict) -> bool:
    """Whether it runs on the bank on show."""
    return row.kind == SCENARIO and row.parameters.get("bank") == SHOWN


def _film(row: Verdict) -> Path:
    return _file(row, "ndjson.gz")


def _taken_in(path: Path) -> Path:
    with path.open("rb") as file:
        return recordings.upload(file)


def _single(row: Verdict) -> bool:
    return row.kind == SIMULATION and row.parameters["seed"] == row.parameters["last"]


def _simulate_options(parameters: dict[str, Any]) -> list[str]:
    seeds = f"{parameters['seed']}..{parameters['last']}"
    options = ["--seeds", seeds, "--steps", str(parameters["steps"]), "--jobs", "1"]
    return [*options, "--scenario", parameters["scenario"]] if parameters["scenario"] else options


def _verify_options(parameters: dict[str, Any]) -> list[str]:
    return [
        *("--duration", f"{parameters['duration']:g}"),
        *("--faults", ",".join(parameters["faults"])),
        *("--clients", str(parameters["clients"])),
        *("--seed", str(parameters["seed"])),
    ]


def shell_line(row: Verdict) -> str:
    """The command that does the same from a shell."""
    if row.kind == VERIFY:
        return " ".join(["python manage.py verify", *_verify_options(row.parameters)])
    if row.kind == SCENARIO:
        site = ' --site "$SITE" --token "$TOKEN"' if on_show(row) else ""
        return f"python manage.py scenario {row.parameters['scenario']}{site}"
    if row.kind == REPORT:
        return "python manage.py report --output report.html"
    line = " ".join(["python manage.py simulate", *_simulate_options(row.parameters)])
    return f"{line} --schedule schedule.json" if "schedule" in row.parameters else line


def _file(row: Verdict, suffix: str) -> Path:
    folder = Path(settings.BANK_DATA) / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{row.pk}.{suffix}"


@cache
def lab() -> Lab:
    """Of this process."""
    return Lab()
