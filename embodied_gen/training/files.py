"""Files that are whole or absent.

Everything is written aside, flushed to the disk and renamed over the old file: a killed process or a full disk
leaves the last good file. Tensors are safetensors, whose header names this project and the schema, so that a
truncated, foreign or newer file is refused by name. Nothing is ever unpickled.
"""

import errno
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

SCHEMA = 1
FULL = (errno.ENOSPC, errno.EDQUOT)
_FORMAT = "embodied-gen"


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file.

    Raises:
        OSError: If it cannot be written; the old file is kept and nothing is left aside.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{path.name}.*.part"):  # by a process that was killed
            left.unlink(missing_ok=True)
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink()
        if isinstance(error, OSError) and error.errno in FULL:
            raise full(path, error) from error
        raise


def full(path: Path, error: OSError) -> OSError:
    """What to say where there is no space left for a file."""
    return OSError(
        error.errno,
        f"no space left to write {path}; the last good file is kept. Free some space and run again with --resume",
    )


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replaces a JSON file, indented for reading."""
    write_bytes(path, (json.dumps(content, indent=2, sort_keys=False) + "\n").encode())


def write_tensors(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> None:
    """Replaces a file of tensors with a JSON note in its header."""
    header = {"format": _FORMAT, "schema": str(SCHEMA), "note": json.dumps(note)}
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, safetensors.torch.save(contiguous, header))


def read_tensors(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the note of a file; see `read_note` for what is raised."""
    note = read_note(path)
    with safetensors.safe_open(str(path), framework="pt", device=device) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, note


def read_note(path: Path) -> dict[str, Any]:
    """The note of a file of tensors.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is truncated, damaged, foreign, or of a newer schema.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} is truncated or not a safetensors file ({error}). "
            "It was left as it is; restore it from a copy or train again into another folder."
        ) from error
    if header.get("format") != _FORMAT:
        raise ValueError(
            f"{path} was not written by embodied-gen (its header says {header.get('format', 'nothing')!r}). "
            "It was left as it is; name a folder that embodied-gen train has written."
        )
    try:
        schema, note = int(header["schema"]), dict(json.loads(header["note"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} has a damaged header: it must hold the number schema and note, a JSON object; got "
            f"{', '.join(sorted(header))}. It was left as it is; restore it from a copy."
        ) from error
    check_schema(path, schema)
    return note


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Loads tensors of a file into a module.

    Raises:
        ValueError: If names or shapes differ.
    """
    expected = module.state_dict()
    wrong = sorted(expected.keys() ^ tensors.keys()) or [
        name for name, value in expected.items() if value.shape != tensors[name].shape
    ]
    if wrong:
        raise ValueError(
            f"{path} does not fit the config beside it: {wrong[0]} and {len(wrong) - 1} more differ. "
            "Restore the pair of files from one run."
        )
    module.load_state_dict(tensors)


def read_json(path: Path, what: str = "", keys: Sequence[str] = (), remedy: str = "") -> dict[str, Any]:
    """A JSON object with a schema number.

    Args:
        path: File.
        what: The object is called by this where it lacks a key.
        keys: That the object must have.
        remedy: What to do where it lacks one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON object, of a newer schema, or without one of the keys.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        content = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is truncated or not JSON ({error}). It was left as it is; restore it from a copy."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("schema"), int):
        raise ValueError(
            f"{path} was not written by embodied-gen: it has no schema number. It was left as it is; "
            "name a file that embodied-gen has written."
        )
    check_schema(path, content["schema"])
    missing = [key for key in keys if key not in content]
    if missing:
        raise ValueError(f"{path} is no {what}: it has no {missing[0]}. {remedy}")
    return content


def check_schema(path: Path, schema: int) -> None:
    """Raises `ValueError` for files of a newer schema than this version can read."""
    if schema > SCHEMA:
        raise ValueError(
            f"{path} has schema {schema}; this version of embodied-gen reads up to {SCHEMA}. "
            "Upgrade: pip install -U embodied-gen."
        )
