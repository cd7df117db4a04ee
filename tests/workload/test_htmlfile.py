"""The report of a benchmark: complete, self-contained, and nothing in it is taken for markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

from consensus.workload import htmlfile
from consensus.workload.load import Window
from consensus.workload.runner import generators
from consensus.workload.tally import Tally


class Seen(HTMLParser):
    """Elements, words and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def result(**more: Any) -> dict[str, Any]:
    tally = Tally()
    tally.start(1.0)
    tally.operation("send_payment", True, 4.5)
    tally.aborted["lock_timeout"] = 3
    return {
        **tally.report(1.05),
        "generators": generators([Window(0.0, 1.0, 0.95, 0.0)]),
        "conserved": True,
        "replicas_agree": False,
        "parameters": {"clients": 5, "preset": None, "replay": "</script><script>alert(1)"},
        "about": {"began": "2026-01-02T03:04:05+00:00", "commit": "abc123", "machine": {"cores": 2}},
        **more,
    }


def test_one_file_with_everything() -> None:
    document = result(sweep=[{"rate": 10.0, "throughput_tps": 9.5, "p50": 1.0, "p95": None, "p99": 3.0}])
    text = htmlfile.text(document, "a < b")
    seen = Seen(text)
    addresses = [value for name, value in seen.attributes if name in ("src", "href")]
    assert addresses == [], "nothing is fetched"
    assert seen.tags.count("script") == 3
    assert [value for name, value in seen.attributes if name == "data-chart"] == [
        "sweep",
        "timeline",
        "distribution",
        "kinds",
    ]
    words = " ".join(seen.words)
    for wanted in ("a < b", "send payment", "aborted: lock_timeout", "DIFFER", "abc123", "the bottleneck"):
        assert wanted in words, wanted
    carried = re.search(r'id="result">(.*?)</script>', text)
    assert carried is not None
    assert json.loads(carried.group(1)) == json.loads(json.dumps(document))


def test_without_a_sweep_there_is_no_curve_and_no_part_of_a_bin() -> None:
    text = htmlfile.text(result(), "plain", {"commit": "told"})
    seen = Seen(text)
    assert ("data-chart", "sweep") not in seen.attributes
    assert "told" in seen.words
    timeline = text[text.index("Operations per second</caption>") :]
    rows = timeline[: timeline.index("</table>")].count("<tr>")
    assert rows == 1 + 10, "1.05 s have ten whole bins of 100 ms"
