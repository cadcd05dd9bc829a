"""A file is whole or absent, and a wrong one is refused by name and left as it is."""

import errno
import json
import os

import pytest
import safetensors.torch
import torch

from embodied_gen.training import files

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(3), "half": torch.ones(2).bfloat16()}


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def full_disk(monkeypatch):
    """Every flush to the disk finds no space."""

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)


def test_tensors_and_their_note_come_back_exactly(tmp_path):
    path = tmp_path / "some" / "where" / "file.safetensors"
    files.write_tensors(path, {**TENSORS, "view": TENSORS["weight"].T}, {"step": 3, "name": "ä"})
    tensors, note = files.read_tensors(path)
    assert note == {"step": 3, "name": "ä"}
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype and tensors[name].equal(value)
    assert tensors["view"].equal(TENSORS["weight"].T)
    assert names(tmp_path) == ["file.safetensors"]


def test_a_full_disk_keeps_the_old_file_leaves_nothing_aside_and_says_what_to_do(tmp_path, full_disk):
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"the last good one")
    with pytest.raises(OSError, match=rf"no space left to write {path}; the last good file is kept. Free some space"):
        files.write_tensors(path, TENSORS, {})
    assert path.read_bytes() == b"the last good one"
    assert names(tmp_path) == ["state.safetensors"]


def test_a_really_full_disk_keeps_the_old_file_and_leaves_nothing_aside(small_disk):
    folder = small_disk("64k")
    path = folder / "state.safetensors"
    files.write_tensors(path, TENSORS, {"step": 1})
    before = path.read_bytes()
    with pytest.raises(OSError, match="no space left to write") as caught:
        files.write_tensors(path, {"large": torch.zeros(100_000)}, {"step": 2})
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before and names(folder) == ["state.safetensors"]
    files.write_tensors(path, TENSORS, {"step": 3})
    assert files.read_tensors(path)[1] == {"step": 3}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, PermissionError, MemoryError])
def test_whatever_stops_a_write_the_old_file_is_kept_and_nothing_is_left_aside(tmp_path, monkeypatch, kind):
    path = tmp_path / "config.json"
    path.write_text("old")

    def stop(*_):
        raise kind

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(kind):
        files.write_json(path, {"schema": 1})
    assert path.read_text() == "old" and names(tmp_path) == ["config.json"]


def test_what_a_killed_process_left_aside_is_cleared_by_the_next_write(tmp_path):
    (tmp_path / ".model.safetensors.123.part").write_bytes(b"half")
    (tmp_path / ".other.safetensors.123.part").write_bytes(b"half")
    files.write_tensors(tmp_path / "model.safetensors", TENSORS, {})
    assert names(tmp_path) == [".other.safetensors.123.part", "model.safetensors"]


def test_a_folder_that_cannot_be_made_is_an_error_of_its_own(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match="taken"):
        files.write_json(tmp_path / "taken" / "config.json", {})


def damaged(tmp_path, what):
    path = tmp_path / "model.safetensors"
    files.write_tensors(path, TENSORS, {"step": 1})
    whole = path.read_bytes()
    if what == "truncated":
        path.write_bytes(whole[: len(whole) - 5])
    elif what == "cut in the header":
        path.write_bytes(whole[:20])
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "text":
        path.write_text("this is no tensor file, but somebody's shopping list\n" * 3)
    elif what == "pickle":
        torch.save({"weight": torch.ones(2)}, path)
    elif what == "foreign":
        path.write_bytes(safetensors.torch.save(TENSORS, {"format": "pt"}))
    elif what == "without header":
        path.write_bytes(safetensors.torch.save(TENSORS))
    elif what in HEADERS:
        path.write_bytes(safetensors.torch.save(TENSORS, {"format": "embodied-gen", **HEADERS[what]}))
    else:
        header = {"format": "embodied-gen", "schema": str(files.SCHEMA + 1), "note": "{}"}
        path.write_bytes(safetensors.torch.save(TENSORS, header))
    return path


HEADERS = {
    "no schema": {"note": "{}"},
    "no number": {"schema": "one", "note": "{}"},
    "no note": {"schema": "1"},
    "half a note": {"schema": "1", "note": '{"step": '},
    "a list of notes": {"schema": "1", "note": "[1]"},
}
DAMAGES = {
    **dict.fromkeys(
        HEADERS, "has a damaged header: it must hold the number schema and note, a JSON object; got format"
    ),
    "truncated": "is truncated or not a safetensors file",
    "cut in the header": "is truncated or not a safetensors file",
    "empty": "is truncated or not a safetensors file",
    "text": "is truncated or not a safetensors file",
    "pickle": "is truncated or not a safetensors file",
    "foreign": "was not written by embodied-gen .its header says 'pt'.",
    "without header": "was not written by embodied-gen .its header says 'nothing'.",
    "newer": f"has schema {files.SCHEMA + 1}; this version of embodied-gen reads up to {files.SCHEMA}. Upgrade",
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_wrong_file_is_refused_by_name_and_left_as_it_is(tmp_path, what):
    path = damaged(tmp_path, what)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"{path} {DAMAGES[what]}"):
        files.read_tensors(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 1', "is truncated or not JSON"),
        ("[1]", "was not written by embodied-gen: it has no schema number"),
        ("{}", "was not written by embodied-gen: it has no schema number"),
        ('{"schema": "one"}', "was not written by embodied-gen: it has no schema number"),
        ('{"schema": 99}', "has schema 99; this version of embodied-gen reads up to 1"),
    ],
)
def test_wrong_json_is_refused_by_name_and_left_as_it_is(tmp_path, text, message):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path} {message}"):
        files.read_json(path)
    assert path.read_text() == text


def test_bytes_that_are_no_text_are_no_json(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match="is truncated or not JSON"):
        files.read_json(path)


@pytest.mark.parametrize("read", [files.read_tensors, files.read_json])
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=f"there is no file {tmp_path / 'absent'}"):
        read(tmp_path / "absent")


def test_json_comes_back(tmp_path):
    content = {"schema": 1, "name": "a", "list": [1, 2.5, None]}
    files.write_json(tmp_path / "a.json", content)
    assert files.read_json(tmp_path / "a.json") == content
    assert json.loads((tmp_path / "a.json").read_text()) == content
