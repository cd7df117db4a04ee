"""Communities as a load: the same people for the same seed, and figures as CSV."""

from __future__ import annotations

import csv
import io

from consensus.workload import csvfile
from consensus.workload.communities import Traffic
from consensus.workload.generator import Mix
from consensus.workload.people import CommunityGenerator, Crowd
from consensus.workload.tally import Tally


def test_transfers_stay_among_people_who_know_each_other() -> None:
    generator = CommunityGenerator(Crowd(300, people=7, seed=1), Mix(amount_max=5), seed=1)
    again = CommunityGenerator(Crowd(300, people=7, seed=1), Mix(amount_max=5), seed=1)
    other = CommunityGenerator(Crowd(300, people=7, seed=2), Mix(amount_max=5), seed=2)
    drawn = [generator.legs() for _ in range(5_000)]
    assert drawn == [again.legs() for _ in range(5_000)] != [other.legs() for _ in range(5_000)]
    community = Traffic("planted", 300, 7).community
    inside = sum(community[payer - 1] == community[payee - 1] for payer, _, payee, _ in drawn)
    assert 0.87 < inside / len(drawn) < 0.93
    for payer, debit, payee, credit in drawn:
        assert payer != payee and 1 <= payer <= 300 and 1 <= payee <= 300
        assert debit + credit == 0 and 1 <= credit <= 5


def test_reads_are_drawn_as_asked() -> None:
    generator = CommunityGenerator(Crowd(60, people=1, seed=1), Mix(read_pct=25), seed=1)
    assert 200 < sum(generator.is_read() for _ in range(1_000)) < 300
    assert 1 <= generator.account() <= 60


def test_figures_as_csv() -> None:
    tally = Tally()
    tally.start(0.0)
    tally.intra.succeeded = 3
    tally.intra.latency.add(1.5)
    result = {**tally.report(1.0), "parameters": {"clients": 5}, "conserved": True, "replicas_agree": True}
    rows = list(csv.reader(io.StringIO(csvfile.text(result))))
    assert rows[0] == ["section", "name", "value"]
    assert ["parameter", "clients", "5"] in rows and ["result", "committed", "3"] in rows
    assert ["intra", "latency_ms.p50", "1.5"] in rows
    assert sum(row[0] == "timeline" for row in rows) == 10


def test_people_pay_where_their_account_lies() -> None:
    crowd = Crowd(300, people=7, seed=1)
    homes = {account: 1 + account // 101 for account in range(1, 301)}
    first, second = (CommunityGenerator(crowd, Mix(), 1, cluster, homes.get) for cluster in (1, 2))
    for generator, lies_in in ((first, 1), (second, 2)):
        drawn = [generator.legs() for _ in range(500)]
        assert all(homes[payer] == lies_in for payer, *_ in drawn)
        assert len({homes[payee] for _, _, payee, _ in drawn}) == 3, "whomever they know"
    homes.update(dict.fromkeys(homes, 2))
    assert all(first.legs()[0] for _ in range(30_000)), "somebody pays although nobody lives there any more"
