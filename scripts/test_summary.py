"""Add up the phases of a test run to one closing line.

Arguments: folder of JUnit files, seconds, names of phases that failed.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(folder: str, seconds: str, *broken: str) -> int:
    """Print the sums; the status is 1 when a phase was broken or nothing ran at all."""
    total = failed = skipped = 0
    for file in sorted(Path(folder).glob("*.xml")):
        for suite in ElementTree.parse(file).getroot().iter("testsuite"):
            total += int(suite.get("tests", "0"))
            failed += int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
            skipped += int(suite.get("skipped", "0"))
    parts = [f"{failed} failed"] if failed else []
    parts.append(f"{total - failed - skipped} passed")
    if skipped:
        parts.append(f"{skipped} skipped")
    if broken:
        print(f"\nphases that failed: {', '.join(broken)}")
    print(f"\n==== {', '.join(parts)} in {seconds}s ====")
    return 1 if broken or failed or not total else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
