"""The log of a run holds each step once, also after it was cut short."""

import errno
import json

import pytest

from embodied_gen.training import metrics_log
from embodied_gen.training.metrics_log import MetricsLog, read


@pytest.fixture(autouse=True)
def _no_board(monkeypatch):
    monkeypatch.setattr(metrics_log, "_tensorboard", lambda folder, step: None)


def fill(folder, start, steps):
    log = MetricsLog(folder, start)
    for step in steps:
        log.add(step, {"loss": step / 2})
    log.close()


def test_lines_come_back(tmp_path):
    fill(tmp_path, 0, [1, 2, 3])
    assert read(tmp_path / "metrics.jsonl") == [{"step": step, "loss": step / 2} for step in (1, 2, 3)]


def test_opening_at_a_step_drops_what_lies_beyond(tmp_path):
    fill(tmp_path, 0, [1, 2, 3, 4])
    fill(tmp_path, 2, [3, 5])
    assert [line["step"] for line in read(tmp_path / "metrics.jsonl")] == [1, 2, 3, 5]


def test_half_a_line_at_the_end_is_left_out_and_then_dropped(tmp_path):
    fill(tmp_path, 0, [1, 2])
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 3, "lo')
    assert [line["step"] for line in read(path)] == [1, 2]
    fill(tmp_path, 2, [3])
    assert [json.loads(text)["step"] for text in path.read_text().splitlines()] == [1, 2, 3]


@pytest.mark.parametrize(
    "damage", [b'{"loss": 1.0}', b"[3]", b"3", b'{"step": "3"}', b'{"step": 3, "lo\xff": 1', b"\xff\xfe"]
)
def test_a_damaged_line_ends_the_log_and_is_dropped_with_what_follows(damage, tmp_path):
    fill(tmp_path, 0, [1, 2])
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + damage + b'\n{"step": 4}\n')
    assert [line["step"] for line in read(path)] == [1, 2]
    fill(tmp_path, 2, [3])
    assert [line["step"] for line in read(path)] == [1, 2, 3]


def test_a_line_is_on_the_disk_as_soon_as_it_is_added(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log.add(1, {"loss": 1.0})
    assert len(read(tmp_path / "metrics.jsonl")) == 1
    log.close()


def test_no_log_has_no_lines(tmp_path):
    assert read(tmp_path / "metrics.jsonl") == []


def test_a_full_disk_is_named(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log._file.close()
    log._file = open("/dev/full", "w", buffering=1)
    with pytest.raises(OSError, match=rf"no space left to write {tmp_path / 'metrics.jsonl'}") as caught:
        log.add(1, {"loss": 1.0})
    assert caught.value.errno == errno.ENOSPC
    log.close()
