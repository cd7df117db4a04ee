"""Say which controls of the pages no browser test has used.

Argument: folder of the files that the processes of one run of all browser tests left there
(tests/browser/controls.py).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

EXCEPTIONS: dict[str, str] = {
    "frame: button “×”": "of Plotly's hint how to zoom back; it leaves by itself",
}
"""Controls that no test has to use, as regular expressions over the whole of "page place: name", and why."""


def unused(files: list[Path]) -> list[str]:
    """Controls that were seen, and used by nobody, in order."""
    seen: set[str] = set()
    used: set[str] = set()
    for file in files:
        told = json.loads(file.read_text(encoding="utf-8"))
        seen |= set(told["seen"])
        used |= set(told["used"])
    return sorted(key for key in seen - used if not any(re.fullmatch(one, key) for one in EXCEPTIONS))


def main(folder: str) -> int:
    """Name them; the status is 1 when there are any, or nothing was watched."""
    files = sorted(Path(folder).glob("*.json"))
    if not files:
        print("no browser test has told of any control")
        return 1
    found = unused(files)
    for key in found:
        print(f"no test uses  {key}")
    print(f"{len(found)} controls are used by no test" if found else "every control of every page is used")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
