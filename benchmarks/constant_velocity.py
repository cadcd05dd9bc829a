"""Forecasters that learn nothing on ETH and UCY, under every protocol and measure.

    python benchmarks/constant_velocity.py FOLDER [--draws 20]

FOLDER holds all_data as the Trajectron++ repository has it (`embodied-gen data eth-ucy --from FOLDER` explains).
biwi_eth is read as published, and once more at its true rate ("eth, corrected", which is in no mean).
Writes benchmarks/results/constant_velocity.json.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from embodied_gen import provenance
from embodied_gen.commands.console import console, progress
from embodied_gen.forecasting import eth_ucy
from embodied_gen.forecasting.baselines import ConstantVelocity, Line, TurnedVelocity
from embodied_gen.forecasting.forecaster import Forecaster
from embodied_gen.forecasting.scores import evaluate
from embodied_gen.forecasting.table import Row, markdown, with_means
from embodied_gen.forecasting.windows import PROTOCOLS, windows_of
from embodied_gen.training import files


@dataclass
class Arguments:
    """Forecasters that learn nothing on ETH and UCY."""

    folder: tyro.conf.Positional[str]
    """Folder with all_data."""
    draws: int = 20
    """Draws of forecasters with chance."""
    seed: int = 0
    """Of the draws."""
    out: str = "benchmarks/results/constant_velocity.json"
    """Record to write."""


FORECASTERS: tuple[tuple[str, Forecaster, bool], ...] = (
    ("constant velocity", ConstantVelocity(), False),
    ("least-squares line", Line(), False),
    ("turned velocity", TurnedVelocity(), True),
)
CORRECTED = "eth, corrected"


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    folder = Path(arguments.folder)
    scenes = {scene: eth_ucy.read_test(folder, scene) for scene in eth_ucy.SCENES}
    scenes[CORRECTED] = [eth_ucy.corrected(tracks) for tracks in scenes["eth"]]
    rows = []
    with progress("score", len(scenes) * len(PROTOCOLS) * len(FORECASTERS)) as advance:
        for protocol in PROTOCOLS:
            for scene, recordings in scenes.items():
                windows = windows_of(recordings, protocol)
                for name, forecaster, chance in FORECASTERS:
                    scores = evaluate(forecaster, windows, n=arguments.draws if chance else 1, seed=arguments.seed)
                    rows.append(Row(scene, protocol.name, name, scores))
                    advance(f"{scene}, {protocol.name}, {name}")
    whole = [*with_means([row for row in rows if row.scene != CORRECTED]), *(r for r in rows if r.scene == CORRECTED)]
    record = {
        "seed": arguments.seed,
        "rows": [row.plain() for row in whole],
        "machine": provenance.machine(),
        "versions": provenance.versions(),
    }
    files.write_json(Path(arguments.out), record)
    console.print(markdown(whole), soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
