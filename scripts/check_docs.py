"""Check the Markdown of the project without a toolchain: links, anchors, fences, diagrams.

A relative link must name a file that is there, and its ``#anchor`` a heading of that file. Each page under
``docs/`` must be linked from another one. Fences must be closed. A Mermaid fence must begin with a known kind
of diagram and have balanced brackets.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[1]
MERMAID = ("flowchart", "graph", "sequenceDiagram", "stateDiagram-v2", "classDiagram", "erDiagram", "gantt")
_LINK = re.compile(r"(?<!\\)!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_CODE = re.compile(r"`[^`]*`")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})\s*([\w-]*)")


def documents(root: Path = ROOT) -> list[Path]:
    """Markdown files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.md"],
        cwd=root, capture_output=True, check=True, text=True,
    )  # fmt: skip
    return sorted({root / name for name in listed.stdout.split("\0") if name and (root / name).exists()})


def blocks(text: str) -> tuple[list[tuple[int, str]], list[tuple[int, str, list[str]]], int]:
    """Split into (prose lines with numbers, fences as (line, kind, lines), line of an open fence or 0)."""
    prose: list[tuple[int, str]] = []
    fences: list[tuple[int, str, list[str]]] = []
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        match = _FENCE.match(line)
        if fence:
            if match and match[1].startswith(fence) and not match[2]:
                fence = ""
            else:
                fences[-1][2].append(line)
        elif match:
            fence = match[1]
            fences.append((number, match[2], []))
        else:
            prose.append((number, line))
    return prose, fences, fences[-1][0] if fence else 0


def anchors(text: str) -> set[str]:
    """The anchors that headings get, as GitHub makes them."""
    found: set[str] = set()
    for _, line in blocks(text)[0]:
        if match := re.match(r"#{1,6}\s+(.*)", line):
            title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).replace("`", "").strip().lower()
            slug = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
            name, count = slug, 0
            while name in found:
                count += 1
                name = f"{slug}-{count}"
            found.add(name)
    return found


def problems(path: Path, root: Path = ROOT) -> Iterator[str]:
    """What is wrong in one file, a line each."""
    text = path.read_text(encoding="utf-8")
    prose, fences, open_fence = blocks(text)
    name = path.relative_to(root)
    if open_fence:
        yield f"{name}:{open_fence}: fence is not closed"
    for number, line in prose:
        for target in _LINK.findall(_CODE.sub("", line)):
            if fault := link_fault(path, unquote(target), root):
                yield f"{name}:{number}: {target}: {fault}"
    for number, kind, lines in fences:
        if kind == "mermaid":
            for fault in mermaid_faults(lines):
                yield f"{name}:{number}: diagram: {fault}"


def orphans(paths: list[Path], root: Path = ROOT) -> Iterator[str]:
    """Pages under docs/ that nobody finds, a line each."""
    linked: set[Path] = set()
    for path in paths:
        for _, line in blocks(path.read_text(encoding="utf-8"))[0]:
            for target in _LINK.findall(_CODE.sub("", line)):
                found = (path.parent / unquote(target).partition("#")[0]).resolve()
                linked |= {found} - {path.resolve()}
    for path in paths:
        if path.is_relative_to(root / "docs") and path.resolve() not in linked:
            yield f"{path.relative_to(root)}: no other page links to it"


def link_fault(path: Path, target: str, root: Path = ROOT) -> str:
    """Why a link leads nowhere; "" when it does not."""
    if re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE):
        return ""
    file_name, _, anchor = target.partition("#")
    file = (
        (root / file_name.lstrip("/") if file_name.startswith("/") else path.parent / file_name)
        if file_name
        else path
    )
    if not file.resolve().is_relative_to(root):
        return "leads out of the project"
    if not file.exists():
        return "there is no such file"
    if anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
        return "there is no such heading"
    return ""


def mermaid_faults(lines: list[str]) -> Iterator[str]:
    """Faults that keep a diagram from being drawn."""
    content = [line.strip() for line in lines if line.strip() and not line.strip().startswith("%%")]
    if not content or content[0].split()[0].rstrip(";") not in MERMAID:
        yield f"does not begin with one of {', '.join(MERMAID)}"
        return
    bare = re.sub(r'"[^"]*"', "", "\n".join(content[1:]))
    if '"' in bare:
        yield "a quotation mark is not closed"
    if content[0].split()[0] in ("flowchart", "graph"):
        for opening, closing in ("[]", "()", "{}"):
            if bare.count(opening) != bare.count(closing):
                yield f"{opening} and {closing} are not balanced"
    starts = sum(
        bool(re.match(r"(subgraph|loop|alt|opt|par|rect|critical|break|box)\b", line)) for line in content
    )
    ends = sum(line == "end" for line in content)
    if starts != ends:
        yield f"{starts} blocks are opened and {ends} ended"


def main() -> int:
    """Check every document; the exit status."""
    checked = documents()
    found = [line for path in checked for line in problems(path)] + list(orphans(checked))
    for line in found:
        print(line)
    print(f"{len(checked)} documents, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
