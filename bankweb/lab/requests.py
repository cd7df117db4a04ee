"""What can be asked of the lab: bodies and forms become parameters, checked in one place."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bankweb.lab.models import Verdict
from bankweb.lab.service import PRIVATE, REPORT, SCENARIO, SHOWN, SIMULATION, VERIFY, lab
from bankweb.orchestration.bank import topology
from bankweb.rest.problems import Problem, invalid, shown
from consensus.nemesis.faults import KINDS as FAULTS
from consensus.scenarios.fitting import misfit
from consensus.scenarios.scenario import scenarios
from consensus.simulation.run import STEPS
from consensus.simulation.scenarios import SCENARIOS
from consensus.simulation.schedule import KINDS as SCHEDULED
from consensus.simulation.schedule import Fault

BANKS: Final = (PRIVATE, SHOWN)
KINDS: Final = (SIMULATION, VERIFY, REPORT)
SEEDS_MAX: Final = 2_000
SCHEDULE_MAX: Final = 1_000
SIMULATION_NUMBERS: Final = {
    "seed": (1, 0, 2**31 - 1),
    "last": (None, 0, 2**31 - 1),
    "steps": (STEPS, 100, 200_000),
}
VERIFY_NUMBERS: Final = {"duration": (30, 5, 3_600), "clients": (12, 1, 200), "seed": (1, 0, 2**31 - 1)}
FIELDS: Final = frozenset(("kind", "scenario", "schedule", "faults", *SIMULATION_NUMBERS, *VERIFY_NUMBERS))


def parameters_of(body: dict[str, Any]) -> dict[str, Any]:
    """All parameters of a run, defaults included.

    Raises:
        Problem: one is wrong (400).
    """
    kind = body.get("kind")
    if kind not in KINDS:
        raise invalid("kind", f"must be one of {', '.join(KINDS)}, not {shown(kind)}")
    if kind == REPORT:
        return _numbers(body, {}, tuple(sorted(FIELDS - {"kind"})))
    return _simulation(body) if kind == SIMULATION else _verify(body)


def _numbers(body: dict[str, Any], bounds: dict[str, Any], foreign: tuple[str, ...]) -> dict[str, Any]:
    for name in foreign:
        if body.get(name) is not None:
            raise invalid(name, f"does not go with kind {body['kind']}")
    found: dict[str, Any] = {}
    for name, (default, least, most) in bounds.items():
        value = body.get(name)
        if value is None:
            value = default
        elif type(value) is not int or not least <= value <= most:
            raise invalid(name, f"must be an integer of {least}..{most}, not {shown(value)}")
        found[name] = value
    return found


def _simulation(body: dict[str, Any]) -> dict[str, Any]:
    found = _numbers(body, SIMULATION_NUMBERS, ("faults", "duration", "clients"))
    if found["last"] is None:
        found["last"] = found["seed"]
    if not found["seed"] <= found["last"] < found["seed"] + SEEDS_MAX:
        raise invalid("last", f"must be 0..{SEEDS_MAX - 1} above the first seed")
    scenario = body.get("scenario")
    if scenario is not None and (type(scenario) is not str or scenario not in SCENARIOS):
        raise invalid("scenario", f"must be one of {', '.join(SCENARIOS)}, not {shown(scenario)}")
    found["scenario"] = scenario or ""
    if body.get("schedule") is not None:
        if found["seed"] != found["last"]:
            raise invalid("schedule", "goes with one seed")
        found["schedule"] = _schedule(body["schedule"])
    return found


def _schedule(value: Any) -> list[dict[str, Any]]:
    try:
        faults = msgspec.convert(value, list[Fault])
    except msgspec.ValidationError as error:
        raise invalid("schedule", f"is no list of faults: {error}") from error
    if len(faults) > SCHEDULE_MAX:
        raise invalid("schedule", f"must have up to {SCHEDULE_MAX} faults, not {len(faults)}")
    for fault in faults:
        if fault.kind not in SCHEDULED:
            raise invalid("schedule", f"has an unknown kind {shown(fault.kind)}")
    plain: list[dict[str, Any]] = msgspec.to_builtins(faults)
    return plain


def _verify(body: dict[str, Any]) -> dict[str, Any]:
    found = _numbers(body, VERIFY_NUMBERS, ("last", "steps", "scenario", "schedule"))
    faults = body.get("faults")
    if faults is None:
        faults = list(FAULTS)
    if type(faults) is not list or not faults or any(type(f) is not str or f not in FAULTS for f in faults):
        raise invalid("faults", f"must be a list of {', '.join(FAULTS)}, not {shown(faults)}")
    found["faults"] = [fault for fault in FAULTS if fault in faults]
    return found


async def told(name: Any, actor: str, bank: Any = PRIVATE) -> Verdict:
    """Queue a scenario. ``bank``: ``private`` or ``shown``, which begins anew first.

    Raises:
        Problem: there is no such scenario or bank (400), it does not fit the bank on show (409), or too many
            wait (503).
    """
    known = scenarios()
    if type(name) is not str or name not in known:
        raise invalid("name", f"must be one of {', '.join(known)}, not {shown(name)}")
    if bank not in BANKS:
        raise invalid("bank", f"must be one of {', '.join(BANKS)}, not {shown(bank)}")
    if bank == SHOWN:
        reason = misfit(known[name], topology())
        if reason:
            raise Problem("conflict", f"not on the bank on show: {reason}")
    parameters = {"scenario": name, "bank": bank}
    row = Verdict(actor=actor, kind=SCENARIO, name=known[name].title, parameters=parameters)
    return await lab().queue(row)


async def started(body: dict[str, Any], actor: str) -> Verdict:
    """Queue the run that ``body`` asks for.

    Raises:
        Problem: something in it is wrong (400), or too many wait (503).
    """
    parameters = parameters_of(body)
    kind = body["kind"]
    row = Verdict(actor=actor, kind=kind, name=name_of(kind, parameters), parameters=parameters)
    return await lab().queue(row)


def name_of(kind: str, parameters: dict[str, Any]) -> str:
    if kind == REPORT:
        return "the course's report form"
    if kind == VERIFY:
        return f"{parameters['duration']} s of {', '.join(parameters['faults'])}"[:100]
    first, last = parameters["seed"], parameters["last"]
    seeds = f"seed {first}" if first == last else f"seeds {first} to {last}"
    return f"{parameters['scenario'] or 'mixed trouble'}, {seeds}"
