"""The log of a run: one JSON object a line in metrics.jsonl, and TensorBoard's files where it is installed.

The log is appended to while training. After an interruption it may be ahead of the checkpoint, or end in half a
line; opening it at a step drops what lies beyond.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from embodied_gen.training import files


@final
class MetricsLog:
    """Appends to a run's log.

    Args:
        folder: Of the run.
        step: Where training starts; lines beyond it are dropped.
    """

    def __init__(self, folder: Path, step: int):
        self._path = folder / "metrics.jsonl"
        kept = [line for line in read(self._path) if line["step"] <= step]
        files.write_bytes(self._path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._file = self._path.open("a", buffering=1)
        self._board = _tensorboard(folder, step)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Adds a line.

        Raises:
            OSError: If there is no space.
        """
        try:
            self._file.write(json.dumps({"step": step, **values}) + "\n")
        except OSError as error:
            raise files.full(self._path, error) if error.errno in files.FULL else error from None
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Closes; lines that found no space were reported when they were added."""
        with suppress(OSError):
            self._file.close()
        if self._board is not None:
            self._board.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a log up to the first that is damaged, as the last is where an interruption cut it short."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(errors="replace").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            break
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            break
        lines.append(line)
    return lines


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
