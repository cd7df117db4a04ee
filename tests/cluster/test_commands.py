"""``manage.py topology``, and how ``manage.py runbank`` refuses to start: one plain line, status 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from consensus import topology_file
from consensus.cluster import ports
from consensus.cluster.folder import DataFolder

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


def manage(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_topology_writes_what_load_reads(tmp_path: Path) -> None:
    path = tmp_path / "five.yaml"
    sizes = ["--clusters", "5", "--nodes", "5", "--accounts", "9000", "--balance", "7"]
    result = manage("topology", *sizes, "--output", str(path))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert topology_file.load(path) == topology_file.generate(5, 5, 9000, 7)


def test_topology_prints_and_warns_apart() -> None:
    result = manage("topology", "--clusters", "1", "--nodes", "2")
    assert result.returncode == 0
    assert topology_file.parse(result.stdout) == topology_file.generate(1, 2)
    assert result.stderr.startswith("topology: warning: clusters[0].nodes: 2 nodes survive no more failures")


def test_topology_refuses_with_one_line(tmp_path: Path) -> None:
    result = manage("topology", "--clusters", "0")
    assert (result.returncode, result.stderr) == (2, "topology: clusters: must be 1–65535, not 0\n")
    result = manage("topology", "--output", str(tmp_path / "no" / "folder.yaml"))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1


def refused(*arguments: str) -> str:
    result = manage("runbank", "--no-open", *arguments)
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("runbank: ")
    return result.stderr.removeprefix("runbank: ").rstrip()


def test_runbank_says_that_the_sites_port_is_busy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        line = refused("--port", str(port), "--data-dir", str(tmp_path))
    assert line.startswith(
        f"port {port} on 127.0.0.1 cannot be used: another program uses it; choose another"
    )


def test_runbank_says_that_a_nodes_port_is_busy_when_a_file_names_it(tmp_path: Path) -> None:
    (site, node) = ports.free_ports(2)
    config = tmp_path / "nodes.yaml"
    config.write_text(topology_file.dump(topology_file.with_ports(topology_file.generate(1, 1, 9), [node])))
    with socket.create_server(("127.0.0.1", node)):
        line = refused("--port", str(site), "--data-dir", str(tmp_path / "d"), "--config", str(config))
    assert line == f"port {node} on 127.0.0.1 cannot be used: another program uses it"


def test_runbank_says_that_the_site_takes_a_nodes_port(tmp_path: Path) -> None:
    (node,) = ports.free_ports(1)
    config = tmp_path / "nodes.yaml"
    config.write_text(topology_file.dump(topology_file.with_ports(topology_file.generate(1, 1, 9), [node])))
    line = refused("--port", str(node), "--data-dir", str(tmp_path / "d"), "--config", str(config))
    assert line == f"--port: {node} is the port of a node; choose another"


def test_runbank_says_that_the_folder_cannot_be_used(tmp_path: Path) -> None:
    (site,) = ports.free_ports(1)
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "bank"
    line = refused("--port", str(site), "--data-dir", str(folder))
    reason = "a part of the path is a file; choose another data folder"
    assert line == f"data folder {folder} cannot be used: {reason}"


def test_runbank_names_the_key_of_a_bad_file(tmp_path: Path) -> None:
    (site,) = ports.free_ports(1)
    config = tmp_path / "nodes.yaml"
    config.write_text(topology_file.dump(topology_file.generate(1, 1, 9)).replace("port: 7101", "port: x"))
    line = refused("--port", str(site), "--data-dir", str(tmp_path / "d"), "--config", str(config))
    assert line == f"{config}: clusters[0].nodes[0].port: must be 1–65535, not 'x'"


def test_runbank_says_that_the_bank_runs_already(tmp_path: Path) -> None:
    (site,) = ports.free_ports(1)
    folder = DataFolder(tmp_path)
    folder.open()
    try:
        line = refused("--port", str(site), "--data-dir", str(tmp_path))
    finally:
        folder.close()
    assert line == f"the bank in {tmp_path} is running already (process {os.getpid()})"


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["--port", "0"], "--port: must be 1–65535, not 0"),
        (["--clusters", "0"], "clusters: must be 1–65535, not 0"),
        (["--clusters", "2", "--config", "x.yaml"], "--config says all sizes; leave the other options out"),
        (["--config", "no-such.yaml"], "no-such.yaml: cannot be read: No such file or directory"),
    ],
)
def test_runbank_refuses_options_that_cannot_be(tmp_path: Path, arguments: list[str], start: str) -> None:
    assert refused("--data-dir", str(tmp_path / "d"), *arguments).startswith(start)


def test_settings_make_their_secrets_in_the_folder_that_was_named(tmp_path: Path) -> None:
    for place, spelled in (("a", ["--data-dir", "{}"]), ("b", ["--data-dir={}"])):
        folder = tmp_path / place
        refused("--port", "0", *(each.format(folder) for each in spelled))
        assert (folder / "django-secret").is_file()
