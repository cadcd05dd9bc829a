"""Records that go on: what a benchmark wrote before it was interrupted, where it is of the same settings."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embodied_gen import provenance
from embodied_gen.training import files

Row = dict[str, Any]


def begun(
    target: Path, what: str, *, same: Mapping[str, Any], kept: Mapping[str, Any], told: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A record, with what the file at the target holds where it was made of the same, with the same versions.

    Args:
        target: File that is read if it exists; it is not written.
        what: What the numbers are.
        same: Settings without which earlier numbers are worth nothing, as JSON has them.
        kept: Entries that go on, and what they are at first.
        told: Settings that are written and not compared.
    """
    bound = {"schema": files.SCHEMA, **same, "versions": provenance.versions()}
    record = {"schema": files.SCHEMA, "what": what, **same, **(told or {}), **kept}
    record |= {"versions": bound["versions"], "machine": provenance.machine()}
    if target.exists():
        found = files.read_json(target)
        if all(found.get(key) == bound[key] for key in bound):
            record |= {key: found.get(key, kept[key]) for key in kept}
    return record


def digest(*paths: Path) -> str:
    """A short hash of what files hold, such as the config and the weights of a run: a folder's name says nothing."""
    contents = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)
    return hashlib.sha256(contents).hexdigest()[:16]


def replaced(rows: Sequence[Row], row: Row, places: Sequence[str]) -> list[Row]:
    """Rows with another one last, in place of the one that has the same values at some places."""
    return [*(other for other in rows if any(other[place] != row[place] for place in places)), row]
