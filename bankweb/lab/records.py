"""Rows of :mod:`bankweb.lab.models`."""

from __future__ import annotations

from typing import Final

from bankweb.lab.models import Verdict
from bankweb.runs.records import Records

KEPT_MAX: Final = 200
records: Final = Records(Verdict, "verdict", kept_max=KEPT_MAX)
