"""Forecasters without a network on ETH and UCY, under every protocol and measure.

    python benchmarks/constant_velocity.py FOLDER [--draws 20]

FOLDER holds the files as the Trajectron++ repository has them (`embodied-gen data eth-ucy --from FOLDER` checks it).
Constant and turned velocities and straight lines learn nothing; the linear Gaussian learns from the train parts of the
other scenes. biwi_eth is read as published, and once more at its true rate ("eth, corrected", which is in no mean).
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
from embodied_gen.forecasting.eth_ucy import CORRECTED
from embodied_gen.forecasting.forecaster import Forecaster
from embodied_gen.forecasting.linear import LinearGaussian
from embodied_gen.forecasting.scores import evaluate
from embodied_gen.forecasting.table import Row, markdown, with_means
from embodied_gen.forecasting.windows import PROTOCOLS, SOCIAL_GAN, windows_of
from embodied_gen.training import files


@dataclass
class Arguments:
    """Forecasters without a network on ETH and UCY."""

    folder: tyro.conf.Positional[str]
    """Folder with all_data and train."""
    draws: int = 20
    """Draws of forecasters with chance."""
    seed: int = 0
    """Of the draws."""
    out: str = "benchmarks/results/constant_velocity.json"
    """Record to write."""


def forecasters(split: eth_ucy.Split) -> tuple[tuple[str, Forecaster, bool], ...]:
    """Names, forecasters and whether they draw."""
    return (
        ("constant velocity", ConstantVelocity(), False),
        ("least-squares line", Line(), False),
        ("turned velocity", TurnedVelocity(), True),
        ("linear Gaussian", LinearGaussian.fit(windows_of(split.train, SOCIAL_GAN)), True),
    )


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    folder = Path(arguments.folder)
    splits = {scene: eth_ucy.read_split(folder, scene) for scene in eth_ucy.SCENES}
    compared = {scene: forecasters(split) for scene, split in splits.items()}
    scenes = {
        name: recordings
        for scene, split in splits.items()
        for name, recordings in eth_ucy.at_each_rate(scene, split.test).items()
    }
    compared[CORRECTED] = compared["eth"]
    rows = []
    with progress("score", sum(map(len, compared.values())) * len(PROTOCOLS)) as advance:
        for protocol in PROTOCOLS:
            for scene, recordings in scenes.items():
                windows = windows_of(recordings, protocol)
                for name, forecaster, chance in compared[scene]:
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
