"""The check of used controls puts the files of all processes together, and names what nobody used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import check_controls


def told(folder: Path, name: str, seen: list[str], used: list[str]) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"seen": seen, "used": used}), encoding="utf-8")


def test_what_one_process_sees_another_may_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(tmp_path, "1", ["/lab/ verify: field seed", "/lab/ verify: button “Start”"], [])
    told(tmp_path, "2", ["/lab/ verify: button “Start”"], ["/lab/ verify: button “Start”"])
    assert check_controls.main(str(tmp_path)) == 1
    assert "no test uses  /lab/ verify: field seed\n" in capsys.readouterr().out
    told(tmp_path, "3", [], ["/lab/ verify: field seed"])
    assert check_controls.main(str(tmp_path)) == 0


def test_an_exception_is_a_whole_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(tmp_path, "1", ["/x/ a: button “On”", "/x/ a: button “One”"], [])
    monkeypatch.setattr(check_controls, "EXCEPTIONS", {r"/x/ a: button “On”": "for a reason"})
    assert check_controls.unused([tmp_path / "1.json"]) == ["/x/ a: button “One”"]


def test_nothing_told_is_no_success(tmp_path: Path) -> None:
    assert check_controls.main(str(tmp_path)) == 1
