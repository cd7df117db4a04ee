"""Compile requirements.txt and requirements-dev.txt from pyproject.toml, or check that they still fit it.

``compile`` asks uv (and through it the package registry) and keeps what is pinned already where the ranges
allow; ``compile --upgrade`` takes the newest. ``check`` needs no network: the digest of the ranges in the
first line of each file, a pin with a hash for each dependency inside its range, no addresses of registries.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
GROUPS = {"requirements.txt": [], "requirements-dev.txt": ["dev"]}
_PIN = re.compile(
    r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)[^\n]*\\?\n((?:    --hash=sha256:[0-9a-f]{64}.*\n?)*)",
    re.MULTILINE,
)


def ranges(project: dict[str, Any], groups: list[str]) -> list[str]:
    """The declared ranges that go into one file."""
    declared: list[str] = list(project["project"]["dependencies"])
    for group in groups:
        declared += project["dependency-groups"][group]
    return sorted(declared)


def first_line(project: dict[str, Any], groups: list[str]) -> str:
    """A line that changes when the ranges do."""
    digest = hashlib.sha256(json.dumps(ranges(project, groups)).encode()).hexdigest()
    return f"# Compiled from pyproject.toml by 'make requirements'; ranges {digest[:32]}\n"


def problems(name: str, text: str, project: dict[str, Any], groups: list[str]) -> list[str]:
    """What is wrong with one file, a line each."""
    found: list[str] = []
    if not text.startswith(first_line(project, groups)):
        found.append(f"{name}: the ranges in pyproject.toml have changed; run 'make requirements'")
    if re.search(r"https?://|--(extra-)?index-url|--find-links", text):
        found.append(f"{name}: names an address of a registry")
    pins: dict[str, str] = {}
    for match in _PIN.finditer(text):
        pins[canonicalize_name(match[1])] = match[2]
        if not match[3]:
            found.append(f"{name}: {match[1]} has no hash")
    for line in ranges(project, groups):
        requirement = Requirement(line)
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None:
            found.append(f"{name}: {requirement.name} is not pinned")
        elif not requirement.specifier.contains(Version(pin), prereleases=True):
            found.append(f"{name}: {requirement.name} is pinned at {pin}, outside {requirement.specifier}")
    return found


def check() -> int:
    """Check all files; the exit status."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[str] = []
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in GROUPS}
    for name, groups in GROUPS.items():
        found += problems(name, texts[name], project, groups)
    run = {match[1]: match[2] for match in _PIN.finditer(texts["requirements.txt"])}
    dev = {match[1]: match[2] for match in _PIN.finditer(texts["requirements-dev.txt"])}
    found += [
        f"{name} is {pin} to run but {dev.get(name)} to develop"
        for name, pin in run.items()
        if dev.get(name) != pin
    ]
    for line in found:
        print(line)
    return 1 if found else 0


def compile_all(options: list[str]) -> int:
    """Compile all files with uv; the exit status."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for name, groups in GROUPS.items():
        command = [
            "uv",
            "pip",
            "compile",
            "pyproject.toml",
            "--quiet",
            "--universal",
            "--python-version",
            "3.11",
        ]
        command += [
            "--generate-hashes",
            "--no-header",
            "--no-emit-index-url",
            "--no-emit-find-links",
            "--output-file",
            name,
        ]
        command += [option for group in groups for option in ("--group", group)] + options
        if name != "requirements.txt":  # what runs is what was tested
            command += ["--constraint", "requirements.txt"]
        environment = {key: value for key, value in os.environ.items() if key != "PIP_FIND_LINKS"}
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if status:
            return status
        path = ROOT / name
        path.write_text(first_line(project, groups) + path.read_text(encoding="utf-8"), encoding="utf-8")
    return check()


def main(arguments: list[str]) -> int:
    """Dispatch ``check`` or ``compile [uv options]``."""
    match arguments:
        case ["check"]:
            return check()
        case ["compile", *options]:
            return compile_all(options)
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
