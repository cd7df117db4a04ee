"""A real bank with its site in a temporary folder, and Debian's Chromium: for tests and screenshots."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from consensus.cluster import ports

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path(__file__).parent / "chromium.sh"
START_S = 90
STOP_S = 30
FLAGS = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class StartError(RuntimeError):
    """The bank did not come up; the text holds what it said."""


@contextlib.contextmanager
def running_bank(folder: Path, *options: str) -> Iterator[str]:
    """Run ``manage.py runbank`` and yield the URL it announces, token included.

    Raises:
        StartError: it ended, or was not ready in time.
    """
    (port,) = ports.free_ports(1)
    log_path = folder.with_suffix(".log")
    command = [sys.executable, "manage.py", "runbank", "--no-open", "--port", str(port)]
    command += [] if "--ambient" in options else ["--no-ambient"]
    command += ["--data-dir", str(folder), *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PAXOS_BANK_")}
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield _announced(process, folder / "url", log_path)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _announced(process: subprocess.Popen[bytes], path: Path, log_path: Path) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if path.exists():
            return path.read_text(encoding="ascii").strip()
        if process.poll() is not None:
            break
        time.sleep(0.05)
    said = log_path.read_text(encoding="utf-8", errors="replace")
    raise StartError(f"the bank is not ready (exit status {process.poll()}):\n{said}")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless and without any traffic of its own."""
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield browser
        finally:
            browser.close()
