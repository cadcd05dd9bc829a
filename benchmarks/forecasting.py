"""Learned forecasters on ETH and UCY: families by scene and seed, on one encoder and one recipe.

    python benchmarks/forecasting.py FOLDER [--families mixture spline] [--scenes zara1] [--seeds 1] [--jobs 2]

FOLDER holds the files as the Trajectron++ repository has them (`embodied-gen data eth-ucy --from FOLDER` checks it). A
family is a config, configs/eth_ucy_NAME.yaml. All have the same data, encoder, event and training, but

    gan                 is trained without momentum and at a lower rate
    closed_loop         goes on from the run of `words` on the same scene and seed (`start_from`), for fewer steps
    joint               draws five pedestrians together, from an encoder of scenes
    mixture_one_size    learns from scenes as they are, and not in other sizes

Each is trained without the scene that it is judged on, whose windows are Social-GAN's, and scored three times: by 20
draws of each window, by 20 representatives of 200 others, which are no draws, and by 20 joint draws of the same 200, in
which nobody walks into anybody (see `forecasting.answers`).

Writes benchmarks/results/forecasting.json after every cell, which is a family on a scene with a seed. Cells that the
file holds of the same config, data and versions are kept: take the file away to measure all anew. Runs lie in RUNS, and
one that was killed goes on where it was.
"""

import dataclasses
import time
from dataclasses import dataclass
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any

import records
import scored
import torch
import tyro

from embodied_gen import experiment
from embodied_gen.blocks import EthUcyBlock, RecordingsControl
from embodied_gen.commands import together
from embodied_gen.commands.console import console
from embodied_gen.commands.lessons import lessons_of
from embodied_gen.commands.train import teach
from embodied_gen.experiment import Experiment
from embodied_gen.forecasting import eth_ucy
from embodied_gen.forecasting.answers import forecasters
from embodied_gen.forecasting.scores import evaluate
from embodied_gen.forecasting.windows import SOCIAL_GAN, windows_of
from embodied_gen.training import files
from embodied_gen.training.processes import joined

CONFIGS = Path(__file__).parents[1] / "configs"
FAMILIES = (
    "regression",
    "mixture",
    "spline",
    "flow_matching",
    "diffusion",
    "vae",
    "recurrent",
    "words",
    "closed_loop",
    "gan",
    "joint",
    "mixture_one_size",
)
DRAWS = 20

Cell = tuple[int, str, str]  # seed, scene and family


@dataclass
class Arguments:
    """Learned forecasters on ETH and UCY."""

    folder: tyro.conf.Positional[str]
    """Folder with all_data, train and val."""
    families: tuple[str, ...] = FAMILIES
    """Names of configs."""
    scenes: tuple[str, ...] = eth_ucy.SCENES
    """Scenes to judge on."""
    seeds: int = 3
    """Trainings of each family on each scene."""
    runs: str = "runs/forecasting"
    """Folder of the runs."""
    device: str = "cpu"
    """Where to train: auto, cpu, cuda."""
    jobs: int = 1
    """Cells that are measured at once."""
    out: str = "benchmarks/results/forecasting.json"
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    target = Path(arguments.out)
    record = _begun(target)
    known = {(row["seed"], row["scene"], row["family"]): row for row in record["rows"]}
    cells = list(product(range(arguments.seeds), arguments.scenes, arguments.families))
    due = [cell for cell in cells if cell not in known or not _is_whole(known[cell], cell)]
    starts = [cell for cell in due if _config(cell).start_from is None]
    others = [cell for cell in due if cell not in starts]
    work = partial(_measured, arguments)
    # What starts from other cells' runs waits for all of them.
    for cell, row in chain(*(together.done(work, cells, jobs=arguments.jobs) for cells in (starts, others))):
        known[cell] = row
        record["rows"] = [known[place] for place in dict.fromkeys([*cells, *known]) if place in known]
        files.write_json(target, record)
        seed, scene, family = cell
        console.print(f"{family} on {scene}, seed {seed}: {_said(row)}", soft_wrap=True)
    console.print(f"written: {arguments.out}")


def _begun(target: Path) -> dict[str, Any]:
    """The record at the target where it was made with these versions, or one without rows."""
    same = {"protocol": SOCIAL_GAN.name, "draws": DRAWS}
    return records.begun(target, "errors of forecasts by family, scene and seed [m]", same=same, kept={"rows": []})


def _is_whole(row: dict[str, Any], cell: Cell) -> bool:
    """Whether a row is of the config as it is now, with all that is scored of it."""
    config = _config(cell)
    kinds = {"answer"} if config.head.kind == "regression" else {"draws", "representatives", "joint draws"}
    return row["course"] == config.fingerprint("", 1) and row["scores"].keys() >= kinds


def _config(cell: Cell) -> Experiment:
    """The config of a cell, whose files are known by their sums wherever they lie."""
    seed, scene, family = cell
    config = experiment.read(CONFIGS / f"eth_ucy_{family}.yaml")
    return config.model_copy(update={"seed": seed, "data": config.data.model_copy(update={"scene": scene})})


def _measured(arguments: Arguments, cell: Cell) -> dict[str, Any]:
    """Trains a forecaster, or takes up its run, and scores it."""
    (seed, scene, family), config = cell, _config(cell)
    assert isinstance(config.data, EthUcyBlock) and isinstance(config.control, RecordingsControl)
    row = {"family": family, "scene": scene, "seed": seed, "course": config.fingerprint("", 1)}
    run = _run(arguments, config.name, cell)
    data = config.data.model_copy(update={"folder": arguments.folder})
    start = config.start_from and str(_run(arguments, Path(config.start_from).name, cell))
    config, started = config.model_copy(update={"data": data, "start_from": start}), time.process_time()
    trained = scored.seconds_of(run, lambda: _train(config, run, arguments.device), time.process_time)
    windows = windows_of(eth_ucy.read_test(Path(data.folder), scene), SOCIAL_GAN)
    learned = experiment.load(run).predictor
    answers = forecasters(config.control.forecaster(learned), learned.head, n=DRAWS)
    scores = {
        name: dataclasses.asdict(evaluate(forecaster, windows, n=n, seed=seed))
        for name, (forecaster, n) in answers.items()
    }
    return row | {"scores": scores, "training_seconds": trained, "seconds": time.process_time() - started}


def _run(arguments: Arguments, name: str, cell: Cell) -> Path:
    """The run of a config of a name on the scene and with the seed of a cell."""
    seed, scene, _ = cell
    return Path(arguments.runs) / f"{name}-{scene}-{seed}"


def _train(config: Experiment, run: Path, device: str) -> None:
    with joined(device) as processes:
        teach(config, lessons_of(config, processes.device), run, resume=True, processes=processes)


def _said(row: dict[str, Any]) -> str:
    found = [f"{name} {s['best_ade']:.3f} / {s['best_fde']:.3f}" for name, s in row["scores"].items()]
    return f"{', '.join(found)}; {row['training_seconds']:.0f} s of training, {row['seconds']:.0f} s in all"


if __name__ == "__main__":
    main()
