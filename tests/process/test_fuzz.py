"""REST against its own OpenAPI document: what fits it, what does not, and what comes back, on a real bank."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import fuzz


@pytest.mark.timeout(300)
def test_no_answer_is_undocumented_and_none_is_an_error_of_the_site(tmp_path: Path) -> None:
    with fuzz.running(tmp_path) as bank:
        # The tool itself, once: a document that lacks the only answer there is.
        path = tmp_path / "schema.json"
        whole = path.read_text(encoding="utf-8")
        document = json.loads(whole)
        del document["paths"]["/api/views/"]["get"]["responses"]["200"]
        path.write_text(json.dumps(document), encoding="utf-8")
        known = fuzz.prepare(bank)
        assert not fuzz.fuzz(bank, tmp_path, known, "--max-examples", "1", "--include-path", "/api/views/")
        path.write_text(whole, encoding="utf-8")
        assert fuzz.everything(bank, tmp_path, examples=2, seed=1, light=True) == []
