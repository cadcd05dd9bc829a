"""Files that a command is given by name, or by the folders that hold them."""

from collections.abc import Sequence
from pathlib import Path


def files_of(places: Sequence[str], endings: Sequence[str], what: str) -> list[Path]:
    """The files that are named, and those of the folders that are whose names end so, in order, each once.

    Args:
        places: Files and folders.
        endings: Of the names of files in folders, without a dot.
        what: The format, for messages.

    Raises:
        FileNotFoundError: If a place is neither, or a folder has none.
    """
    found: dict[Path, None] = {}
    for place in map(Path, places):
        files = _within(place, endings) if place.is_dir() else [place] if place.is_file() else []
        if not files:
            named = " or ".join(f"*.{ending}" for ending in endings)
            missing = f"holds no file {named}" if place.is_dir() else "is missing"
            raise FileNotFoundError(f"{place} {missing}. Give files of {what}, or folders that hold some.")
        found |= dict.fromkeys(files)
    return list(found)


def _within(folder: Path, endings: Sequence[str]) -> list[Path]:
    return sorted(file for ending in endings for file in folder.glob(f"*.{ending}"))
