"""Ask a real bank's REST addresses for all that its OpenAPI document allows, and for what it does not.

``fuzz.py [--examples N] [--seed N] [--light]``: starts a bank with its site in a temporary folder, and runs
schemathesis on it three times: on all addresses that leave the bank up, on those that begin something long,
and last on those that bring nodes down. Then everything is healed, and all money must be there. The exit
status is 0 if each answer was one that the document has, none was 5xx where nothing was broken, and the
money is there. ``--light``: what takes long is only asked for in ways that are refused, so it does not begin.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from consensus.cluster import ports  # noqa: E402
from consensus.cluster.folder import DataFolder  # noqa: E402

START_TIMEOUT_S: Final = 90.0
HEAL_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.1
BREAKS: Final = (
    r"/api/nodes/\{node\}/(fail|recover|kill|restart|pause|resume)/|/api/(links|reset|faults/heal)/"
)
BEGINS: Final = r"/api/(benchmarks|verdicts|testsets|scenarios|redistributions)/$"


class Bank:
    """A running bank, over REST."""

    def __init__(self, url: str) -> None:
        self.base, _, self.token = url.partition("/?token=")

    def ask(self, method: str, path: str, body: Any = None, accept: str = "application/json") -> Any:
        """The document that answers a request to ``/api/…``, whatever its status."""
        headers = {"Authorization": f"Token {self.token}", "Accept": accept}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(f"{self.base}/api/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            return json.loads(error.read())


def prepare(bank: Bank) -> dict[str, str]:
    """Make one of each thing that paths name; what ``schemathesis.toml`` has in its place."""
    transfer = bank.ask("POST", "transactions/", {"sender": 1, "receiver": 3001, "amount": 1})
    plan = bank.ask("POST", "redistributions/", {})
    saved = bank.ask("POST", "recordings/", {})
    return {
        "FUZZ_TRANSACTION": transfer["id"],
        "FUZZ_REDISTRIBUTION": plan["id"],
        "FUZZ_RECORDING": saved["id"],
    }


def fuzz(bank: Bank, folder: Path, environment: dict[str, str], *options: str) -> bool:
    """One run of schemathesis; whether it found nothing."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file",
        str(ROOT / "schemathesis.toml"),
        "run",
        str(folder / "schema.json"),
        "--url",
        bank.base,
        "--header",
        f"Authorization: Token {bank.token}",
        *options,
    ]
    return subprocess.run(command, cwd=folder, env=os.environ | environment, check=False).returncode == 0


def heal(bank: Bank) -> str:
    """Bring everything up again and count the money; what is wrong, or nothing."""
    deadline = time.monotonic() + HEAL_TIMEOUT_S
    restarted: set[int] = set()
    while True:
        bank.ask("POST", "faults/heal/")
        states = {row["id"]: row["state"] for row in bank.ask("GET", "nodes/")["results"]}
        for node, state in states.items():
            if state in ("down", "killed") and node not in restarted:
                restarted.add(node)  # once: it takes a moment until it is there
                bank.ask("POST", f"nodes/{node}/restart/")
        told = bank.ask("GET", "audit/?totals=1")
        if set(states.values()) == {"up"} and "total" in told:
            return "" if told["total"] == told["expected"] else f"the audit counts {told}"
        if time.monotonic() > deadline:
            return f"not healed after {HEAL_TIMEOUT_S:g} s: {states}, {told}"
        time.sleep(POLL_S)


@contextmanager
def running(folder: Path) -> Iterator[Bank]:
    """A bank and its site in ``folder``, ready, with its document in ``schema.json``."""
    data = DataFolder(folder / "bank")
    (port,) = ports.free_ports(1)
    command = [sys.executable, "manage.py", "runbank", "--no-open", "--port", str(port)]
    command += ["--data-dir", str(data.path)]
    with (folder / "runbank.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not data.url_path.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the bank did not start")
            time.sleep(POLL_S)
        bank = Bank(data.url_path.read_text(encoding="utf-8").strip())
        document = bank.ask("GET", "schema/", accept="application/vnd.oai.openapi+json")
        (folder / "schema.json").write_text(json.dumps(document), encoding="utf-8")
        yield bank
    finally:
        process.terminate()
        process.wait()


def everything(bank: Bank, folder: Path, examples: int, seed: int, light: bool) -> list[str]:
    """All three runs, and what is wrong afterwards, a line each."""
    known = prepare(bank)
    common = ["--max-examples", str(examples)]
    careful: list[str] = []
    if light:
        common += ["--no-shrink", "--generation-deterministic", "--phases", "coverage,fuzzing"]
        careful += ["--mode", "negative"]
    else:
        common += ["--seed", str(seed)]
    runs = {
        "addresses that leave the bank as it is": ("--exclude-path-regex", f"{BREAKS}|{BEGINS}"),
        "addresses that begin something long": (*careful, "--include-path-regex", BEGINS),
        "addresses that bring nodes down": ("--include-path-regex", BREAKS),
    }
    wrong = [name for name, options in runs.items() if not fuzz(bank, folder, known, *common, *options)]
    unhealed = heal(bank)
    return [*wrong, unhealed] if unhealed else wrong


def main(arguments: list[str]) -> int:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=100, help="of each address")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--light", action="store_true", help="begin nothing long")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="paxos-bank-fuzz-") as name, running(Path(name)) as bank:
        wrong = everything(bank, Path(name), options.examples, options.seed, options.light)
    for line in wrong:
        print(f"fuzz: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
