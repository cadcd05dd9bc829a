"""Scores of forecasters: what `embodied-gen evaluate` does with the run of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
import tyro

from embodied_gen import experiment, provenance
from embodied_gen.blocks import EthUcyBlock, RecordingsControl, TracksBlock
from embodied_gen.commands.console import console, parse, progress
from embodied_gen.commands.task import check_run
from embodied_gen.experiment import Experiment, Run
from embodied_gen.forecasting import answers, scores
from embodied_gen.forecasting.baselines import ConstantVelocity
from embodied_gen.forecasting.forecaster import Forecaster
from embodied_gen.forecasting.table import Row, markdown
from embodied_gen.forecasting.windows import PROTOCOLS, CrowdWindows, Protocol, windows_of
from embodied_gen.training import files
from embodied_gen.training.processes import resolve_device

_PLACES = {"folder", "file", "map"}  # where data lie, which is all that may be another than in training


@dataclass
class Arguments:
    """Scores a forecaster on recordings that it did not learn from and writes eval.json into its run.

    A forecaster acts in no environment: it is scored on the scene that its training left out, or on the end of its
    track file, under each protocol by which windows are counted, with all measures side by side. The scene eth is
    scored as published and at its true rate.

    Its draws have a row, representatives of many draws another, and joint draws, in which nobody walks into anybody, a
    third; a forecaster without chance has its answer alone. Constant velocity is the baseline of each protocol. Two of
    the protocols, where the files lie elsewhere than in training:

        embodied-gen evaluate runs/eth-ucy-mixture --data.folder FOLDER --protocols Social-GAN "alone too"
    """

    run: tyro.conf.Positional[str]
    """Folder of a forecaster's run."""
    data: Annotated[tyro.conf.AvoidSubcommands[EthUcyBlock | TracksBlock], tyro.conf.arg(name="data")]
    """The run's own recordings; data.folder or data.file where they lie elsewhere now."""
    draws: int = 20
    """Draws of each window, of a forecaster with chance."""
    protocols: tuple[str, ...] = tuple(protocol.name for protocol in PROTOCOLS)
    """Those to score under; a name with a space in quotes."""
    seed: int = 0
    """Of the draws."""
    json: str | None = None
    """Write the record here instead of RUN/eval.json."""
    device: str = "auto"
    """Where the forecaster computes: auto, cpu, cuda."""
    threads: int = 1
    """Threads of its products on a CPU."""


@final
@dataclass(frozen=True)
class _Test:
    """Windows of a scene under a protocol."""

    scene: str
    protocol: str
    windows: CrowdWindows

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.scene}, {self.protocol}: {len(self.windows)} windows, {len(self.windows.tracks)} tracks; "
            f"{self.windows.dropped}"
        )

    def plain(self) -> dict[str, Any]:
        """What there is and what was left out, for JSON."""
        return {
            "scene": self.scene,
            "protocol": self.protocol,
            "windows": len(self.windows),
            "tracks": len(self.windows.tracks),
            **self.windows.dropped._asdict(),
        }


def is_run(folder: Path) -> bool:
    """Whether the folder of a run, which is no detector's, holds that of a forecaster.

    Raises:
        ValueError: If its config is damaged or newer than this version.
    """
    return isinstance(experiment.load_config(folder)[0].control, RecordingsControl)


def evaluate(folder: Path, arguments: list[str]) -> None:
    """Scores the run in a folder, which is among the arguments."""
    config, _ = experiment.load_config(folder)
    parsed = parse(Arguments, "evaluate", arguments, run=str(folder), data=config.data)
    check_run(folder, parsed.run)
    for name, least in (("draws", 1), ("seed", 0), ("threads", 1)):
        if getattr(parsed, name) < least:
            raise ValueError(f"--{name} must be at least {least}; got {getattr(parsed, name)}.")
    torch.set_num_threads(parsed.threads)
    protocols = _protocols(parsed.protocols)
    _check_data(parsed.data, config)
    tests = [
        _Test(scene, protocol.name, windows_of(recordings, protocol))
        for scene, recordings in parsed.data.judged().items()
        for protocol in protocols
    ]
    run = experiment.load(folder, resolve_device(parsed.device))
    for test in tests:
        console.print(str(test), soft_wrap=True, markup=False)
    rows = _rows(run, tests, parsed)
    target = Path(parsed.json) if parsed.json else folder / "eval.json"
    files.write_json(target, _record(run, tests, rows, parsed))
    console.print(markdown(rows), soft_wrap=True, markup=False)
    console.print(f"written: {target}", soft_wrap=True)


def _record(run: Run, tests: Sequence[_Test], rows: Sequence[Row], parsed: Arguments) -> dict[str, Any]:
    return {
        "schema": files.SCHEMA,
        "run": run.experiment.name,
        "head": run.experiment.head.kind,
        "step": run.step,
        "data": parsed.data.model_dump(mode="json"),
        "seed": parsed.seed,
        "windows": [test.plain() for test in tests],
        "rows": [row.plain() for row in rows],
        "machine": provenance.machine(),
        "versions": provenance.versions(),
    }


def _protocols(names: Sequence[str]) -> list[Protocol]:
    """The protocols of these names."""
    known = {protocol.name: protocol for protocol in PROTOCOLS}
    strange = [name for name in names if name not in known]
    if strange or not names:
        got = f"{strange[0]!r}" if strange else "none"
        raise ValueError(f"--protocols must be some of {', '.join(map(repr, known))}; got {got}.")
    return [known[name] for name in dict.fromkeys(names)]


def _check_data(told: EthUcyBlock | TracksBlock, config: Experiment) -> None:
    """Raises `ValueError` where more of the data is another than where they lie."""
    for name, value in config.data.model_dump(exclude=_PLACES).items():
        if getattr(told, name) != value:
            raise ValueError(
                f"--data.{name} must be {value}, as in training; got {getattr(told, name)}. A forecaster is judged on "
                "what it did not learn from: give no more than --data.folder or --data.file, or train another."
            )


def _rows(run: Run, tests: Sequence[_Test], parsed: Arguments) -> list[Row]:
    """A row for each answer to each test, the baseline first."""
    rows: list[Row] = []
    walls = parsed.data.walls()
    with progress("evaluate", len(tests) * len(_asked(run, parsed.draws))) as advance:
        for test in tests:
            for name, (forecaster, n) in _asked(run, parsed.draws).items():  # anew: they keep what they drew
                found = scores.evaluate(forecaster, test.windows, n=n, seed=parsed.seed, walls=walls)
                rows.append(Row(test.scene, test.protocol, name, found))
                advance(f"{test.scene}, {test.protocol}, {name}")
    return rows


def _asked(run: Run, n: int) -> dict[str, tuple[Forecaster, int]]:
    """Whoever is scored, by name, with how many draws."""
    control = run.experiment.control
    assert isinstance(control, RecordingsControl)
    own = answers.forecasters(control.forecaster(run.predictor), run.predictor.head, n=n)
    named = {f"{run.experiment.name}, {of}": asked for of, asked in own.items()}
    return {"constant velocity": (ConstantVelocity(), 1), **named}
