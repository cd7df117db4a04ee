"""Traffic with structure: shapes, seeds, shares inside communities, drift."""

from __future__ import annotations

import numpy as np
import pytest

from consensus.workload.communities import KINDS, Traffic
from consensus.workload.generator import LoadError


@pytest.mark.parametrize("kind", KINDS)
def test_transactions_are_well_formed_and_repeat_by_seed(kind: str) -> None:
    first, again = Traffic(kind, 600, 3).transfers(2_000), Traffic(kind, 600, 3).transfers(2_000)
    assert first.accounts.tolist() == again.accounts.tolist()
    lengths = np.diff(first.start)
    assert len(lengths) == 2_000
    assert first.start[-1] == len(first.accounts)
    assert (lengths.min(), lengths.max()) == (2, 8 if kind == "multi" else 2)
    assert first.accounts.min() >= 0
    assert first.accounts.max() < 600
    payer = np.repeat(first.accounts[first.start[:-1]], lengths)
    assert (payer == first.accounts).sum() == 2_000


@pytest.mark.parametrize(("kind", "inside"), [("planted", 0.9), ("lfr", 0.85), ("planted-zipf", 0.9)])
def test_the_share_inside_is_as_said(kind: str, inside: float) -> None:
    traffic = Traffic(kind, 9_000, 1)
    pairs = traffic.transfers(20_000).accounts.reshape(-1, 2)
    share = (traffic.community[pairs[:, 0]] == traffic.community[pairs[:, 1]]).mean()
    assert inside - 0.01 < share < inside + 0.04


def test_lfr_communities_differ_in_size_and_planted_ones_do_not() -> None:
    lfr = np.bincount(Traffic("lfr", 9_000, 1).community)
    assert lfr.max() > 5 * np.median(lfr)
    assert set(np.bincount(Traffic("planted", 9_000, 1).community).tolist()) == {30}


def test_drift_moves_the_share_it_is_told() -> None:
    traffic = Traffic("planted", 9_000, 1)
    before = traffic.community.copy()
    traffic.drift(0.05)
    assert 0.045 < (before != traffic.community).mean() <= 0.05


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(LoadError, match="none of"):
        Traffic("nobody", 10, 1)
    with pytest.raises(LoadError, match="needs two"):
        Traffic("uniform", 1, 1)
