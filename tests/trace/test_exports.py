"""Exports: what is written is read again, as the programs that take it would."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from consensus.testset.parser import parse
from consensus.trace import export_script, export_shiviz
from consensus.trace.events import TraceError, validate
from consensus.trace.export import FORMS
from consensus.trace.fold import begin

TRACES = Path(__file__).parent.parent / "data" / "traces"
SHIVIZ = re.compile(r"(?P<event>.*)\n(?P<host>\S*) (?P<clock>{.*})\n")
"""The default expression of ShiViz."""


def fixture(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    lines = [json.loads(line) for line in (TRACES / f"{name}.ndjson").read_text("utf-8").splitlines()]
    return lines[0], lines[1:]


def exported(form: str, head: dict[str, Any], events: list[dict[str, Any]]) -> str:
    return "".join(FORMS[form].export(head, begin(head), events))


@pytest.mark.parametrize("name", sorted(path.stem for path in TRACES.glob("*.ndjson")))
def test_a_chrome_trace_is_json_whose_slices_nest_and_whose_arrows_have_both_ends(name: str) -> None:
    head, events = fixture(name)
    document = json.loads(exported("chrome", head, events))
    rows = document["traceEvents"]
    nodes = {node for cluster in head["topology"]["clusters"] for node in cluster["nodes"]}
    named = {row["args"]["name"] for row in rows if row["name"] == "thread_name"}
    assert {f"n{node}" for node in nodes} <= named
    by_thread: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        assert row["ph"] in "MXiCsf", row
        if row["ph"] == "X":
            assert row["dur"] > 0
            by_thread[row["pid"], row["tid"]].append((row["ts"], row["ts"] + row["dur"]))
    for slices in by_thread.values():
        open_ends: list[int] = []
        for start, end in sorted(slices, key=lambda span: (span[0], -span[1])):
            while open_ends and open_ends[-1] <= start:
                open_ends.pop()
            assert not open_ends or end <= open_ends[-1] or end - start == 1, "slices of a thread overlap"
            open_ends.append(end)
    starts, ends = ({row["id"] for row in rows if row["ph"] == phase} for phase in "sf")
    sent = sum(event["k"] == "msg.recv" for event in events)
    assert len(ends - starts) <= sent and (not sent or starts & ends)


def test_a_chrome_trace_has_the_leaders_the_slots_and_the_transactions() -> None:
    head, events = fixture("failover")
    rows = json.loads(exported("chrome", head, events))["traceEvents"]
    names = Counter(row["name"] for row in rows if row["ph"] == "X")
    assert names["leads, ballot (1,1)"] == 1 and any(name.startswith("leads, ballot (2") for name in names)
    assert sum(name.startswith("slot ") for name in names) > 0
    answered = [event for event in events if event["k"] == "tx.reply"]
    assert sum(row.get("cat") == "tx" for row in rows if row["ph"] == "X") == len(answered) > 0
    assert all(row["ts"] >= 0 for row in rows if "ts" in row)


def message(kind: str, n: int, to: int, ts: int, q: int) -> dict[str, Any]:
    told = {"n": n, "to": to, "mid": f"m{n}{to}", "m": "accept", "bytes": 9}
    return validate({"k": kind, "ts": ts, "q": q, **told})


def test_a_shiviz_log_has_vector_clocks_that_respect_messages_though_clocks_differ() -> None:
    head, _ = fixture("failover")
    applied = {"k": "paxos.applied", "n": 2, "s": 1}
    events = [
        # the clock of node 2 is behind: what it received seems to come before it was sent
        message("msg.recv", 1, 2, 1_000, 1),
        {**applied, "ts": 1_001, "q": 2},
        message("msg.send", 1, 2, 1_500, 3),
        {"k": "agg", "ts": 1_600, "q": 4, "window": 100},
        message("msg.recv", 3, 1, 1_700, 5),
    ]
    text = exported("shiviz", head, events)
    found = list(SHIVIZ.finditer(text))
    assert "".join(match[0] for match in found) == text
    clocks = [(match["host"], json.loads(match["clock"])) for match in found]
    assert clocks == [
        ("n1", {"n1": 1}),
        ("n2", {"n1": 1, "n2": 1}),
        ("n2", {"n1": 1, "n2": 2}),
        ("n1", {"n1": 2}),
    ]


@pytest.mark.parametrize("name", sorted(path.stem for path in TRACES.glob("*.ndjson")))
def test_every_host_of_a_shiviz_log_counts_its_own_events(name: str) -> None:
    head, events = fixture(name)
    text = exported("shiviz", head, events[:3_000])
    own: Counter[str] = Counter()
    for match in SHIVIZ.finditer(text):
        own[match["host"]] += 1
        assert json.loads(match["clock"])[match["host"]] == own[match["host"]]
    assert own.total() * 2 == text.count("\n")


def test_too_much_for_shiviz_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    head, events = fixture("failover")
    monkeypatch.setattr(export_shiviz, "EVENTS_MAX", 5)
    with pytest.raises(TraceError, match="narrow it down"):
        exported("shiviz", head, events)


def session() -> list[dict[str, Any]]:
    """A transfer sent twice, acts on nodes and a link, a reset, another transfer; and what is nobody's."""

    def sent(tx: str, ts: int, amount: int) -> dict[str, Any]:
        return {"k": "tx.submit", "tx": tx, "ts": ts, "n": 1, "from": 21, "to": 700, "amt": amount}

    def ctl(cmd: str, ts: int, result: str = "ok", **args: Any) -> dict[str, Any]:
        return {"k": "ctl", "actor": "ann", "cmd": cmd, "ts": ts, "args": args, "result": result}

    kept, mine = "6b656570", "616d6269"
    link = {"source": 1, "target": 2, "cut": True, "delay_ms": 0, "loss": 0}
    told = [
        sent(f"{kept}-1", 1_000_000, 5),
        sent(f"{kept}-1", 1_100_000, 5),
        sent(f"{mine}-9", 1_200_000, 1),
        ctl("kill", 1_500_000, node=2),
        ctl("fail", 1_600_000, "node 3 did not answer", node=3),
        ctl("link", 1_700_000, links=[link]),
        ctl("heal", 2_000_000),
        ctl("reset", 2_500_000, incarnation=2),
        ctl("fail", 2_600_000, node=3),
        sent(f"{kept}-2", 3_000_000, 2),
    ]
    return [validate({**event, "q": q}) for q, event in enumerate(told, 1)]


def test_a_session_becomes_a_test_set_that_the_parser_takes() -> None:
    head, _ = fixture("failover")
    text = exported("testset", head, session())
    first, second = parse(text.encode())
    assert [command.text for command in first.commands] == ["(21, 700, 5)", "F(n2)", "R(n2)"]
    assert [command.text for command in second.commands] == ["F(n3)", "(21, 700, 2)"]
    assert first.live == second.live == tuple(range(1, 10))


def test_a_session_becomes_lines_of_the_shell() -> None:
    head, _ = fixture("failover")
    lines = exported("shell", head, session()).splitlines()
    commands = [line.split("#")[0].strip() for line in lines]
    assert [line for line in commands if line] == [
        "flush",
        "send 21 700 5",
        "flush",
        "fail 3",
        "send 21 700 2",
    ]
    assert any(line.startswith("# over REST only: nodes/2/kill/") for line in lines)


def test_a_session_becomes_a_script_that_a_shell_carries_out(tmp_path: Path) -> None:
    head, _ = fixture("failover")
    text = exported("rest", head, session())
    fake = tmp_path / "curl"
    fake.write_text('#!/bin/sh\nfor word; do printf "%s|" "$word"; done\n', encoding="utf-8")
    fake.chmod(0o755)
    shell = shutil.which("sh")
    assert shell is not None
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SITE": "http://bank", "TOKEN": "t", "PACE": "0"}
    done = subprocess.run(
        [shell], input=text, env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    calls = [line.split("|") for line in done.stdout.splitlines()]
    assert [call[3].removeprefix("http://bank/api/") for call in calls] == [
        "transactions/",
        "nodes/2/kill/",
        "links/",
        "faults/heal/",
        "reset/",
        "nodes/3/fail/",
        "transactions/",
    ]
    assert json.loads(calls[0][9]) == {"sender": 21, "receiver": 700, "amount": 5}
    assert json.loads(calls[2][9]) == {"from": 1, "to": 2, "cut": True, "delay_ms": 0, "loss": 0}
    assert "wait_for 0.500" in text


def test_where_nobody_did_anything_there_is_nothing_to_copy() -> None:
    head, _ = fixture("failover")
    for form in ("shell", "rest", "testset"):
        with pytest.raises(TraceError, match="nothing to copy"):
            exported(form, head, session()[2:3])
    assert list(export_script.acts(session()[4:5])) == []
