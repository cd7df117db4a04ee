"""The YAML topology: read back what is written, refuse what cannot be, name the key."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import topology_file, topology_keys
from consensus.topology import Limits, Timings, Topology
from consensus.topology_file import TopologyError, dump, generate, load, parse

SMALL = """
initial_balance: 10
clusters:
  - {id: 1, first_account: 1, last_account: 5, nodes: [{id: 1, host: localhost, port: 7101}]}
  - {id: 2, first_account: 6, last_account: 9, nodes: [{id: 2, host: localhost, port: 7102}]}
"""


def ranges(topology: Topology) -> list[tuple[int, int]]:
    return [(cluster.first_account, cluster.last_account) for cluster in topology.clusters]


def test_the_default_is_the_course_setting() -> None:
    topology = generate()
    assert ranges(topology) == [(1, 3000), (3001, 6000), (6001, 9000)]
    assert [cluster.members for cluster in topology.clusters] == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    assert [cluster.first_leader for cluster in topology.clusters] == [1, 4, 7]
    assert topology.initial_balance == 10
    assert (topology.timings.election_min_ms, topology.timings.election_max_ms) == (100, 200)


def test_the_shipped_file_is_the_default() -> None:
    shipped = Path(__file__).parents[2] / "config" / "nodes.yaml"
    assert load(shipped) == generate()
    assert shipped.read_text(encoding="utf-8") == dump(generate())


def test_remainder_accounts_are_spread_over_the_first_clusters() -> None:
    assert ranges(generate(4, 3, 122)) == [(1, 31), (32, 62), (63, 92), (93, 122)]


def test_many_nodes_get_longer_election_timeouts() -> None:
    timings = generate(5, 5, 9000).timings
    assert (timings.election_min_ms, timings.election_max_ms) == (200, 400)


@given(
    clusters=st.integers(1, 12),
    nodes=st.integers(1, 7),
    accounts=st.integers(1, 50_000),
    balance=st.integers(0, 10**12),
)
def test_what_is_generated_is_read_back_equal(clusters: int, nodes: int, accounts: int, balance: int) -> None:
    topology = generate(clusters, nodes, accounts, balance)
    assert parse(dump(topology)) == topology
    assert topology.accounts == accounts
    assert len(topology.nodes) == clusters * nodes
    owners = [topology.home(account) for account in (1, accounts)]
    assert None not in owners
    assert topology.home(accounts + 1) is None


def test_every_key_of_the_file_has_a_comment() -> None:
    lines = dump(generate()).splitlines()
    seen: set[str] = set()
    for before, line in zip(["", *lines], lines, strict=False):
        key = line.strip().removeprefix("- ").partition(":")[0]
        if line.strip().startswith(("#", "- {")) or not line.strip() or key in seen:
            continue
        seen.add(key)
        assert before.strip().startswith("#"), f"{key} has no comment"
    assert {*topology_keys.LIMITS, *topology_keys.TIMINGS} <= seen


@pytest.mark.parametrize(("kind", "keys"), [(Timings, topology_keys.TIMINGS), (Limits, topology_keys.LIMITS)])
def test_every_setting_can_be_written_and_its_default_is_allowed(
    kind: type[Timings | Limits], keys: dict[str, topology_keys.Key]
) -> None:
    assert list(keys) == list(kind.__struct_fields__)
    defaults = kind()
    for name, key in keys.items():
        assert key.least <= getattr(defaults, name) <= key.most


def test_settings_left_out_keep_their_defaults() -> None:
    topology = parse(SMALL + "timings: {heartbeat_ms: 20}\nlimits: {window_slots: 3}\n")
    assert topology.timings.heartbeat_ms == 20
    assert topology.timings.election_min_ms == 100
    assert topology.limits.window_slots == 3


def test_leases_are_off_unless_switched_on() -> None:
    assert not parse(SMALL).lease
    topology = parse(SMALL + "lease: true\n")
    assert topology.lease and parse(dump(topology)) == topology


def test_fractions_of_a_millisecond_survive() -> None:
    topology = parse(SMALL + "timings: {batch_delay_ms: 1.5}\n")
    assert parse(dump(topology)).timings.batch_delay_ms == 1.5


def change(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new, 1)


BAD = {
    "port not a number": (
        change("7102", "x"),
        "clusters[1].nodes[0].port: must be 1–65535, not 'x'",
    ),
    "port too large": (change("7102", "70000"), "clusters[1].nodes[0].port: must be 1–65535, not 70000"),
    "port true": (change("7102", "true"), "clusters[1].nodes[0].port: must be 1–65535, not True"),
    "address twice": (
        change("7102", "7101"),
        "clusters[1].nodes[0].port: localhost:7101 is taken already by clusters[0].nodes[0].port",
    ),
    "node id twice": (
        change("{id: 2, host", "{id: 1, host"),
        "clusters[1].nodes[0].id: 1 is taken already by clusters[0].nodes[0].id",
    ),
    "cluster id twice": (change("{id: 2, first", "{id: 1, first"), "clusters[1].id: 1 is taken already by"),
    "gap": (change("first_account: 6", "first_account: 7"), "clusters[1].first_account: must be 6, not 7"),
    "overlap": (
        change("first_account: 6", "first_account: 5"),
        "clusters[1].first_account: must be 6, not 5: overlaps the accounts of clusters[0]",
    ),
    "does not start at 1": (
        change("first_account: 1", "first_account: 2"),
        "clusters[0].first_account: must be 1",
    ),
    "range backwards": (
        change("last_account: 9", "last_account: 3"),
        "clusters[1].last_account: must be at least",
    ),
    "no node": (change("[{id: 2, host: localhost, port: 7102}]", "[]"), "clusters[1].nodes: must be a list"),
    "host a number": (change("localhost", "127"), "clusters[0].nodes[0].host: must be a host name"),
    "host with a space": (change("localhost", "'a b'"), "clusters[0].nodes[0].host: must be a host name"),
    "unknown key": (
        change("port: 7102", "port: 7102, colour: red"),
        "clusters[1].nodes[0].colour: unknown key",
    ),
    "missing key": (change("host: localhost, ", ""), "clusters[0].nodes[0].host: is missing"),
    "key twice": (
        change("initial_balance: 10", "initial_balance: 10\ninitial_balance: 11"),
        "initial_balance: stands twice",
    ),
    "lease a word": (
        change("initial_balance: 10", "initial_balance: 10\nlease: 1"),
        "lease: must be true or",
    ),
    "balance negative": (change("initial_balance: 10", "initial_balance: -1"), "initial_balance: must be 0–"),
    "balance too large together": (
        change("initial_balance: 10", f"initial_balance: {2**61}"),
        "initial_balance: 9 accounts times",
    ),
    "no clusters": ("initial_balance: 10\nclusters: []\n", "clusters: must be a list with at least one item"),
    "not a mapping": ("[1, 2]", "file: must be a mapping"),
    "not YAML": ("clusters: [", "line 1, column 12: not YAML"),
    "empty": ("", "file: must be a mapping"),
    "heartbeat too slow": (
        SMALL + "timings: {heartbeat_ms: 40}",
        "timings.election_min_ms: must exceed 3 heartbeats (120)",
    ),
    "election without spread": (
        SMALL + "timings: {election_max_ms: 100}",
        "timings.election_max_ms: must be above",
    ),
    "2PC shorter than lock wait": (
        SMALL + "timings: {twopc_ms: 100}",
        "timings.twopc_ms: must be above timings.lock_wait_ms",
    ),
    "deadline shorter than 2PC": (
        SMALL + "timings: {client_deadline_ms: 400}",
        "timings.client_deadline_ms: must be above",
    ),
    "timing not a number": (
        SMALL + "timings: {resend_ms: soon}",
        "timings.resend_ms: must be a number 1–60000, not 'soon'",
    ),
    "timing not finite": (SMALL + "timings: {resend_ms: .nan}", "timings.resend_ms: must be a number"),
    "limit a fraction": (
        SMALL + "limits: {window_slots: 1.5}",
        "limits.window_slots: must be 1–1024, not 1.5",
    ),
    "segment too small for batches": (
        SMALL + "limits: {segment_bytes: 65536}",
        "limits.segment_bytes: must be at least twice batch_bytes",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_the_key(name: str, tmp_path: Path) -> None:
    text, message = BAD[name]
    path = tmp_path / "nodes.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TopologyError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"nodes\.yaml: cannot be read: No such file or directory"):
        load(tmp_path / "nodes.yaml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TopologyError, match="is not UTF-8 text"):
        load(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clusters": 0}, "clusters: must be 1"),
        ({"nodes": 0}, "nodes: must be 1"),
        ({"accounts": 0}, "accounts: must be 1"),
        ({"base_port": 65_530}, "base_port: 9 nodes from port 65530 on would pass port 65535"),
        ({"balance": -1}, "initial_balance"),
        ({"host": "a b"}, r"clusters\[0\]\.nodes\[0\]\.host"),
    ],
)
def test_sizes_that_cannot_be_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(TopologyError, match=f"^{message}"):
        generate(**arguments)


def test_an_even_number_of_nodes_is_warned_about() -> None:
    assert topology_file.warnings(generate(2, 3)) == []
    (warning,) = topology_file.warnings(generate(1, 4))
    assert warning.startswith("clusters[0].nodes: 4 nodes survive no more failures than 3 would")


def test_fewer_accounts_than_clusters_leaves_empty_ranges() -> None:
    topology = generate(3, 1, 2)
    assert ranges(topology) == [(1, 1), (2, 2), (3, 2)]
    assert parse(dump(topology)) == topology


def test_ports_can_be_exchanged() -> None:
    topology = topology_file.with_ports(generate(2, 2, 8), [9001, 9002, 9003, 9004])
    assert [node.port for node in topology.nodes.values()] == [9001, 9002, 9003, 9004]
    assert [cluster.members for cluster in topology.clusters] == [(1, 2), (3, 4)]
    with pytest.raises(TopologyError, match="fewer than the 4 nodes"):
        topology_file.with_ports(topology, [9001])


def test_a_topology_made_in_code_is_checked_alike() -> None:
    topology = generate(1, 3)
    broken = msgspec.structs.replace(topology, timings=msgspec.structs.replace(topology.timings, resend_ms=0))
    with pytest.raises(TopologyError, match=r"timings\.resend_ms: must be 1–60000, not 0"):
        topology_file.validate(broken)
