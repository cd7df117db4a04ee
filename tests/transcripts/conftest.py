"""``--rewrite-transcripts`` writes what happens now into the transcripts, to be read in the diff.

Pytest knows the option when this folder is named on the command line. Anywhere else, and for a run over all
tests, REWRITE_TRANSCRIPTS=1 in the environment does the same.
"""

from __future__ import annotations

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-transcripts", action="store_true", help="rewrite the expected output of tests/transcripts"
    )


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    option = request.config.getoption("--rewrite-transcripts", default=False)
    return bool(option) or os.environ.get("REWRITE_TRANSCRIPTS") == "1"
