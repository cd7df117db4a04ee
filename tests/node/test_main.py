"""The process: exit statuses, one plain line for each reason, signals, kill and restart."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from consensus import topology_file
from consensus.cluster import ports
from consensus.node.__main__ import main
from consensus.storage.folder import NodeFolder
from consensus.types import Ballot


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A topology of one cluster of one node on a free port."""
    topology = topology_file.with_ports(topology_file.generate(1, 1, 30, 100), ports.free_ports(1))
    path = tmp_path / "nodes.yaml"
    path.write_text(topology_file.dump(topology))
    return path


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAXOS_BANK_SECRET", "open sesame")


def launch(config: Path, *more: str, node: int = 1) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "consensus.node", "--node", str(node), "--config", str(config)]
    command += ["--data", str(config.parent / "data"), "--bootstrap", *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], *texts: str) -> None:
    """Read its log until each of ``texts`` came."""
    assert process.stderr is not None
    missing = set(texts)
    for line in process.stderr:
        missing -= {text for text in missing if text in line}
        if not missing:
            return
    raise AssertionError(f"ended without a word of {missing}")


def wait_serving(process: subprocess.Popen[str]) -> None:
    wait_for(process, "serving on")


def ends(process: subprocess.Popen[str], signal_number: int = 0) -> tuple[int, list[str]]:
    """Its exit status and the lines on stderr."""
    if signal_number:
        process.send_signal(signal_number)
    out, errors = process.communicate(timeout=30)
    assert out == "", "nothing belongs on stdout"
    return process.returncode, errors.splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_ends_with_0(config: Path, number: int) -> None:
    process = launch(config)
    wait_serving(process)
    status, lines = ends(process, number)
    assert status == 0
    assert json.loads(lines[-1])["event"] == "stopped"


def test_killed_it_starts_again_from_what_it_had(config: Path) -> None:
    process = launch(config)
    wait_serving(process)
    assert ends(process, signal.SIGKILL)[0] == -9
    process = launch(config)
    wait_serving(process)
    assert ends(process, signal.SIGTERM)[0] == 0


def complain(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status and the one line that ``main`` says."""
    status = main(arguments)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return status, lines[0]


def arguments(config: Path, *more: str, node: int = 1) -> list[str]:
    return ["--node", str(node), "--config", str(config), "--data", str(config.parent / "data"), *more]


def test_configuration_errors_are_one_line_and_2(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complain(arguments(config, node=4), capsys) == (2, f"--node 4: {config} has the nodes 1")
    status, line = complain(arguments(config.parent / "none.yaml"), capsys)
    assert status == 2
    assert "none.yaml" in line
    status, line = complain(arguments(config, "--control", "http://x"), capsys)
    assert (status, line) == (2, "--control 'http://x': must look like ws://host:port/ws/worker/")
    text = config.read_text()
    config.write_text(text.replace("initial_balance", "initial_balanse"))
    status, line = complain(arguments(config), capsys)
    assert status == 2
    assert "initial_balanse" in line
    config.write_text(text)
    monkeypatch.delenv("PAXOS_BANK_SECRET")
    status, line = complain(arguments(config), capsys)
    assert status == 2
    assert "PAXOS_BANK_SECRET" in line


def test_missing_arguments_are_a_configuration_error(config: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--node", "1"])
    assert ended.value.code == 2


def test_a_busy_port_is_said_plainly(config: Path) -> None:
    node = topology_file.load(config).nodes[1]
    with socket.create_server((node.host, node.port)):
        status, lines = ends(launch(config))
    assert status == 1
    assert lines[-1] == f"node 1 cannot listen on 127.0.0.1:{node.port}: address already in use"


def test_a_folder_in_use_is_said_plainly(config: Path) -> None:
    folder = NodeFolder(config.parent / "data", 1, Ballot(1, 1), 0)
    status, lines = ends(launch(config))
    folder.close()
    assert status == 1
    assert lines[-1].endswith(f"is in use by another worker (process {os.getpid()}); stop it first")


def test_an_unusable_folder_is_said_plainly(config: Path) -> None:
    (config.parent / "data").write_text("a file")
    status, lines = ends(launch(config))
    assert status == 3
    assert "a part of the path is a file; choose another data folder" in lines[-1]


def test_a_site_that_is_away_does_not_matter(config: Path) -> None:
    process = launch(config, "--control", "ws://127.0.0.1:1/ws/worker/")
    wait_for(process, "serving on", "no connection with the site")
    assert ends(process, signal.SIGTERM)[0] == 0
