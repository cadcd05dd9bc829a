"""Learned forecasters on ETH and UCY: families by scene and seed, on one encoder and one recipe.

    python benchmarks/forecasting.py FOLDER [--families mixture spline] [--scenes zara1] [--seeds 1]

FOLDER holds the files as the Trajectron++ repository has them (`embodied-gen data eth-ucy --from FOLDER` checks it). A
family is a config, configs/eth_ucy_NAME.yaml; all have the same data, encoder, event and training. Each is trained
without the scene that it is judged on, whose windows are Social-GAN's, and scored three times: by 20 draws of each
window, by 20 representatives of 200 draws, which are no draws (see `forecasting.representatives`), and by 20 joint
draws, in which nobody walks into anybody (see `forecasting.joint`).

Writes benchmarks/results/forecasting.json after every cell, which is a family on a scene with a seed. Cells that the
file holds of the same config, data and versions are kept: take the file away to measure all anew. Runs lie in RUNS, and
one that was killed goes on where it was.
"""

import dataclasses
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import records
import torch
import tyro

from embodied_gen import experiment
from embodied_gen.blocks import EthUcyBlock, ForecastControl
from embodied_gen.commands.console import console
from embodied_gen.commands.lessons import lessons_of
from embodied_gen.commands.train import teach
from embodied_gen.experiment import Experiment, Run
from embodied_gen.forecasting import eth_ucy
from embodied_gen.forecasting.forecaster import Forecaster
from embodied_gen.forecasting.joint import JointForecaster
from embodied_gen.forecasting.learned import AgentForecaster, DenseForecaster
from embodied_gen.forecasting.representatives import Representatives
from embodied_gen.forecasting.scores import evaluate
from embodied_gen.forecasting.windows import SOCIAL_GAN, windows_of
from embodied_gen.heads import AutoregressiveHead, FlowHead, MixtureHead, RegressionHead
from embodied_gen.training import files
from embodied_gen.training.processes import joined

CONFIGS = Path(__file__).parents[1] / "configs"
FAMILIES = ("regression", "mixture", "spline", "flow_matching", "diffusion", "vae", "recurrent", "words")
EXACT = (MixtureHead, FlowHead, AutoregressiveHead)  # of the others a log_prob is a bound, or not of what is drawn
DRAWS = 20


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
    out: str = "benchmarks/results/forecasting.json"
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    target = Path(arguments.out)
    record = _begun(target)
    for seed, scene, family in product(range(arguments.seeds), arguments.scenes, arguments.families):
        config = _config(family, scene, seed)
        cell = {"family": family, "scene": scene, "seed": seed, "course": config.fingerprint("", 1)}
        known = next((row for row in record["rows"] if cell.items() <= row.items()), None)
        if known is not None and known["scores"].keys() >= _kinds(config):
            continue
        row = cell | _measured(config, arguments)
        if known is not None:  # its run was trained before, and only taken up
            row["training_seconds"] = known["training_seconds"]
        others = [r for r in record["rows"] if any(r[key] != cell[key] for key in ("family", "scene", "seed"))]
        record["rows"] = [*others, row]
        files.write_json(target, record)
        console.print(f"{family} on {scene}, seed {seed}: {_said(row)}", soft_wrap=True)
    console.print(f"written: {arguments.out}")


def _begun(target: Path) -> dict[str, Any]:
    """The record at the target where it was made with these versions, or one without rows."""
    same = {"protocol": SOCIAL_GAN.name, "draws": DRAWS}
    return records.begun(target, "errors of forecasts by family, scene and seed [m]", same=same, kept={"rows": []})


def _config(family: str, scene: str, seed: int) -> Experiment:
    """The config of a family, whose files are known by their sums wherever they lie."""
    config = experiment.read(CONFIGS / f"eth_ucy_{family}.yaml")
    return config.model_copy(update={"seed": seed, "data": config.data.model_copy(update={"scene": scene})})


def _kinds(config: Experiment) -> set[str]:
    """Names of what is scored of a config's run; see `forecasters`."""
    return {"answer"} if config.head.kind == "regression" else {"draws", "representatives", "joint draws"}


def _measured(config: Experiment, arguments: Arguments) -> dict[str, Any]:
    """Trains a forecaster, or takes up its run, and scores it."""
    assert isinstance(config.data, EthUcyBlock)
    run = Path(arguments.runs) / f"{config.name}-{config.data.scene}-{config.seed}"
    data = config.data.model_copy(update={"folder": arguments.folder})
    config, started = config.model_copy(update={"data": data}), time.process_time()
    with joined(arguments.device) as processes:
        teach(config, lessons_of(config, processes.device), run, resume=True, processes=processes)
    trained = time.process_time() - started
    windows = windows_of(eth_ucy.read_test(Path(data.folder), data.scene), SOCIAL_GAN)
    scores = {
        name: dataclasses.asdict(evaluate(forecaster, windows, n=n, seed=config.seed))
        for name, (forecaster, n) in forecasters(experiment.load(run)).items()
    }
    return {"scores": scores, "training_seconds": trained, "seconds": time.process_time() - started}


def forecasters(run: Run) -> dict[str, tuple[Forecaster, int]]:
    """What is scored of a run, with how many draws: what it draws, and what stands for many draws."""
    control, head = run.experiment.control, run.predictor.head
    assert isinstance(control, ForecastControl)
    make = DenseForecaster if isinstance(head, EXACT) else AgentForecaster
    drawn = make(run.predictor, neighbours=control.neighbours)
    if isinstance(head, RegressionHead):
        return {"answer": (drawn, 1)}
    return {
        "draws": (drawn, DRAWS),
        "representatives": (Representatives(drawn), DRAWS),
        "joint draws": (JointForecaster(drawn), DRAWS),
    }


def _said(row: dict[str, Any]) -> str:
    found = [f"{name} {s['best_ade']:.3f} / {s['best_fde']:.3f}" for name, s in row["scores"].items()]
    return f"{', '.join(found)}; {row['training_seconds']:.0f} s of training, {row['seconds']:.0f} s in all"


if __name__ == "__main__":
    main()
