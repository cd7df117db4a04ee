"""One child process: started with a log, signalled, waited for, and gone when its parent is gone."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from consensus.cluster.folder import LOG_BYTES_MAX

TAIL_BYTES: Final = 4_096
_PR_SET_PDEATHSIG: Final = 1
_POLL_S: Final = 0.1
_REAP_S: Final = 10.0


class Child:
    """A process that can be started again under the same name.

    Signals and starts are immediate; :meth:`wait` and :meth:`stop` are for the event loop. The kernel kills
    the child when the thread that started it ends, whatever ended it: call :meth:`spawn` on the main thread.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log_path: Path
    ) -> None:
        self.name = name
        self.command = list(command)
        self.env = dict(env)
        self.cwd = cwd
        self.log_path = log_path
        self.paused = False
        self.started_at = 0.0
        """Monotonic seconds of the last start."""
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the process lives (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """Status of the last end, negative for a signal; None while it runs or before the first start."""
        return None if self._process is None else self._process.poll()

    def spawn(self) -> None:
        """Start the process, its output appended to the log.

        Raises:
            OSError: the program or the log cannot be opened.
        """
        assert not self.running, f"{self.name} runs already"
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES_MAX:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509  (nothing in it takes a lock)
            )
        self.paused = False
        self.started_at = time.monotonic()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process is gone."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone, so that its port and files are free."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_REAP_S)
        self.paused = False

    def pause(self) -> None:
        """SIGSTOP: the process stands still with its connections open."""
        self.signal(signal.SIGSTOP)
        self.paused = self.running

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)
        self.paused = False

    async def wait(self) -> int:
        """Wait for the end of the process and return its exit status (negative for a signal)."""
        process = self._process
        assert process is not None, f"{self.name} was never started"
        try:
            handle = os.pidfd_open(process.pid)
        except (AttributeError, OSError):  # no Linux, or gone already
            while process.poll() is None:  # noqa: ASYNC110  (there is nothing to be told by)
                await asyncio.sleep(_POLL_S)
            return process.returncode
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(handle, gone.set)
        try:
            while process.poll() is None:
                await gone.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        return process.returncode

    async def stop(self, timeout_s: float) -> None:
        """SIGTERM, then SIGKILL for a process that is still there after ``timeout_s``."""
        if not self.running:
            return
        self.signal(signal.SIGTERM)
        self.resume()  # one that stands still could not act on the first signal
        try:
            await asyncio.wait_for(self.wait(), timeout_s)
        except TimeoutError:
            self.kill()

    def tail(self, lines: int = 12) -> str:
        """The last lines it logged since its last start."""
        try:
            with self.log_path.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - TAIL_BYTES))
                text = log.read(TAIL_BYTES).decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def describe_end(self) -> str:
        """How it ended, in words: ``stopped with status 2`` or ``was ended by SIGKILL``."""
        status = self.exit_status
        if status is None:
            return "has not ended"
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"stopped with status {status}"


def _die_with(parent: int) -> Callable[[], None] | None:
    """What a child runs before its program: ask the kernel for SIGKILL when the parent is gone (prctl(2))."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it went between fork and prctl
            os._exit(1)

    return before_exec
