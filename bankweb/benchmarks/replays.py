"""Files of transfers that were uploaded to be replayed: in the data folder, named by what is in them.

The same file is kept once, for as long as a benchmark names it; ``parameters["replay"]`` is its name, by
which it can be run again.
"""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from bankweb.benchmarks.models import Benchmark
from bankweb.rest.problems import Problem, invalid
from consensus.workload.generator import LoadError
from consensus.workload.pace import read_replay

FOLDER: Final = "replays"
NAME: Final = re.compile(r"[0-9a-f]{16}\.csv")
UNUSED_S: Final = 3_600.0
"""A file that no benchmark names goes when it is older than this: its run may be about to be stored."""


def path(name: str) -> Path:
    """Where the file of that name is."""
    assert NAME.fullmatch(name)
    return Path(settings.BANK_DATA) / FOLDER / name


def take(text: str) -> str:
    """Keep a file and return its name; the name of one that is kept is returned as it is. Blocks.

    Args:
        text: CSV with a header ``time,from,to,amount``, or a name.

    Raises:
        Problem: it is neither, or a row makes no sense (400).
    """
    if NAME.fullmatch(text):
        if path(text).is_file():
            path(text).touch()
            return text
        raise invalid("replay", f"there is no file {text} any more")
    data = text.encode()
    name = f"{hashlib.sha256(data).hexdigest()[:16]}.csv"
    kept = path(name)
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{time.monotonic_ns()}.part")
    try:
        part.write_bytes(data)
        read_replay(str(part))
        part.replace(kept)
    except LoadError as error:
        cause = str(error).removeprefix("replay: ").replace(str(part), "the file")
        raise invalid("replay", cause) from error
    finally:
        part.unlink(missing_ok=True)
    return name


def prune() -> None:
    """Remove files that no benchmark names. Blocks, and reads the database."""
    folder = Path(settings.BANK_DATA) / FOLDER
    if not folder.is_dir():
        return
    used = set(
        Benchmark.objects.exclude(parameters__replay=None).values_list("parameters__replay", flat=True)
    )
    for file in folder.iterdir():
        if file.name not in used and time.time() - file.stat().st_mtime > UNUSED_S:
            file.unlink(missing_ok=True)


def check(parameters: dict[str, Any]) -> None:
    """Raise Problem if something else is asked for that a file decides (400)."""
    for name in ("preset", "rate", "transactions", "duration", "mix", "read_only", "cross_shard", "sweep"):
        if name in parameters:
            raise Problem(
                "invalid", f"{name}: the file to replay says what runs and when; leave it out", name
            )
