"""What a recorder writes, a reader finds: ring, keyframes, unfinished and damaged files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from consensus.trace.events import TraceError, header
from consensus.trace.fold import begin, fold_all
from consensus.trace.reader import Recording
from consensus.trace.recorder import Recorder, lines_of

TRACES = Path(__file__).parent.parent / "data" / "traces"


def load(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    lines = [json.loads(line) for line in (TRACES / f"{name}.ndjson").read_text().splitlines()]
    return lines[0], lines[1:]


def test_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    head, events = load("failover")
    recorder = Recorder(tmp_path / "r", head, keyframe_events=7)
    recorder.write(events[:20])
    recorder.write(events[20:])
    recorder.close()
    recording = Recording(tmp_path / "r")
    assert recording.header == head
    assert list(recording.events()) == events
    assert [event["k"] for event in recording.events(kinds={"node.fail"})] == ["node.fail"]
    assert [event["q"] for event in recording.events(first=4, last=6)] == [4, 5, 6]


def test_a_seek_gives_the_fold(tmp_path: Path) -> None:
    head, events = load("failover")
    recorder = Recorder(tmp_path / "r", head, keyframe_events=7, segment_bytes=2_000)
    recorder.write(events)
    recorder.close()
    recording = Recording(tmp_path / "r")
    for q in (0, 1, 7, 8, 29, len(events)):
        assert recording.state_at(q) == fold_all(begin(head), events[:q])


@pytest.mark.parametrize("batch", [1, 5, 13])
def test_states_that_somebody_folded_already_are_taken_over(tmp_path: Path, batch: int) -> None:
    head, events = load("faults")
    recorder = Recorder(tmp_path / "r", head, keyframe_events=7, segment_bytes=2_000)
    state = begin(head)
    for first in range(0, len(events), batch):
        some = events[first : first + batch]
        state = fold_all(state, some)
        recorder.write_lines(lines_of(some), len(some), state)
    recorder.close()
    recording = Recording(tmp_path / "r")
    assert list(recording.events()) == events
    for q in (0, 1, 7, 8, 29, len(events)):
        assert recording.state_at(q) == fold_all(begin(head), events[:q])


def test_a_reader_sees_what_a_living_recorder_wrote(tmp_path: Path) -> None:
    head, events = load("faults")
    recorder = Recorder(tmp_path / "r", head)
    recorder.write(events[:5])
    assert list(Recording(tmp_path / "r").events()) == events[:5]
    recorder.close()


def test_the_ring_drops_the_oldest_and_says_so(tmp_path: Path) -> None:
    head, events = load("traffic")
    recorder = Recorder(tmp_path / "r", head, segment_bytes=60_000, ring_bytes=30_000)
    recorder.write(events)
    recorder.close()
    recording = Recording(tmp_path / "r")
    kept = list(recording.events())
    assert recording.header["truncated"] is True
    assert 0 < len(kept) < len(events)
    assert kept == events[-len(kept) :]
    assert recording.state_at(events[-1]["q"]) == recorder.state
    with pytest.raises(TraceError, match="before the start"):
        recording.state_at(1)
    sizes = [path.stat().st_size for path in (tmp_path / "r").iterdir()]
    assert sum(sizes[:-1]) <= 40_000


def test_a_cut_off_tail_ends_the_recording(tmp_path: Path) -> None:
    head, events = load("failover")
    recorder = Recorder(tmp_path / "r", head)
    recorder.write(events)
    recorder.close()
    (segment,) = (tmp_path / "r").iterdir()
    segment.write_bytes(segment.read_bytes()[:-200])
    kept = list(Recording(tmp_path / "r").events())
    assert kept == events[: len(kept)]
    assert len(kept) < len(events)


def test_one_plain_file_reads_alike() -> None:
    head, events = load("faults")
    recording = Recording(TRACES / "faults.ndjson")
    assert recording.header == head
    assert list(recording.events()) == events


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no recording"):
        Recording(tmp_path)
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(b'{"v":99}\n'))
    with pytest.raises(TraceError, match="schema"):
        Recording(tmp_path / "a.ndjson.gz")
    (tmp_path / "b.ndjson").write_text("not json\n")
    with pytest.raises(TraceError, match="JSON"):
        Recording(tmp_path / "b.ndjson")


def test_a_folder_in_use_is_not_written_over(tmp_path: Path) -> None:
    head = header(run="r", source="sim", t0=0, topology={"clusters": []})
    Recorder(tmp_path / "r", head).close()
    with pytest.raises(FileExistsError, match="empty folder"):
        Recorder(tmp_path / "r", head)
