"""What commands share: parsing, progress and tables."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import tyro
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from embodied_gen import experiment
from embodied_gen.blocks import DataBlock, EnvBlock
from embodied_gen.experiment import Experiment

console = Console(highlight=False)

T = TypeVar("T")
Advance = Callable[[str], None]

_SILENCE = 10.0  # [s] between lines of progress where no bar can be drawn


def parse(arguments_type: type[T], verb: str, arguments: list[str], **defaults: Any) -> T:
    """Parses a verb's flags; a mistake is explained and exits with status 2."""
    default = arguments_type(**defaults) if defaults else None
    prog = f"embodied-gen {verb}"
    if default is None:
        return tyro.cli(arguments_type, prog=prog, args=arguments)
    return tyro.cli(arguments_type, prog=prog, args=arguments, default=default)


def named_config(arguments: list[str]) -> str | None:
    """The config file among the arguments; None where none is named."""
    named = [a for a in arguments if a.endswith((".yaml", ".yml"))] or [a for a in arguments if not a.startswith("-")]
    return named[0] if named else None


def config_of(arguments: list[str]) -> tuple[str, Experiment]:
    """The config file among the arguments and its content; an example where only help is asked for.

    Raises:
        ValueError: If no config file is named, or the file is wrong.
    """
    named = named_config(arguments)
    if named is not None:
        return named, experiment.read(Path(named))
    if {"-h", "--help"} & set(arguments):
        example = Experiment(
            name="example",
            env=EnvBlock(id="embodied/Avoid-v0"),
            data=DataBlock(dataset="embodied/avoid/expert-v0"),
        )
        return "CONFIG", example
    raise ValueError("a config file is expected first, such as configs/avoid_flow.yaml; got none.")


@contextmanager
def progress(title: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """A bar with the time that is left, or a line now and then where the output is no terminal.

    Yields a function that advances by one and shows a note. What was done before is no part of the rate.
    """
    if console.is_terminal:
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total, completed=done, note="")
            yield lambda note: bar.update(task, advance=1, note=note)
        return
    lines = _Lines(title, total, done)
    yield lines.advance
    lines.end()


class _Lines:
    def __init__(self, title: str, total: int, done: int):
        self._title, self._total, self._first, self._done, self._note = title, total, done, done, ""
        self._start = self._last = time.monotonic()

    def advance(self, note: str) -> None:
        self._done += 1
        self._note = note
        if time.monotonic() - self._last >= _SILENCE:
            self._last = time.monotonic()
            self._say()

    def end(self) -> None:
        self._say()

    def _say(self) -> None:
        elapsed = time.monotonic() - self._start
        left = elapsed / max(self._done - self._first, 1) * (self._total - self._done)
        console.print(
            f"{self._title}: {self._done}/{self._total} in {elapsed:.0f} s, {left:.0f} s left  {self._note}",
            soft_wrap=True,
        )
