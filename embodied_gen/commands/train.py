"""`embodied-gen train`: demonstrations become a policy, images a detector."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

import envs  # noqa: F401 - registers the environments
from embodied_gen import config
from embodied_gen.commands import detectors
from embodied_gen.commands.card import write_card
from embodied_gen.commands.console import config_of, console, named_config, parse
from embodied_gen.commands.learning import learn, prepare
from embodied_gen.demos import store
from embodied_gen.demos.episodes import Episodes
from embodied_gen.experiment import Experiment, build, load_config, save_config, sizes_of
from embodied_gen.predictor import Predictor
from embodied_gen.training import Course, checkpoint
from embodied_gen.training.processes import Processes, joined


@dataclass
class Arguments:
    """Trains the policy of a config from its data set and keeps a run folder.

    Every value of the config can be given here too, as in --train.steps 5000. Ctrl-C saves and stops; --resume
    continues to the same weights as if nothing had happened. For several processes: torchrun --nproc-per-node 2 -m
    embodied_gen train CONFIG.
    """

    config: tyro.conf.Positional[str]
    """Config file, such as configs/avoid_flow.yaml."""
    experiment: Annotated[tyro.conf.AvoidSubcommands[Experiment], tyro.conf.arg(name="")]
    out: str | None = None
    """Folder of the run; runs/NAME of the config where not given."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Continue the folder's run, or start it where there is none."""
    device: str = "auto"
    """Where to train: auto, cpu, cuda, cuda:1."""


def main(arguments: list[str]) -> None:
    """Runs the verb."""
    named = named_config(arguments)
    if named is not None and "detector" in config.keys_of(Path(named)):
        detectors.train(named, arguments)
        return
    path, loaded = config_of(arguments)
    parsed = parse(Arguments, "train", arguments, config=path, experiment=loaded)
    experiment = parsed.experiment
    run = Path(parsed.out or Path("runs") / experiment.name)
    episodes = store.read(experiment.data.dataset, root=Path(experiment.data.root), episodes=experiment.data.episodes)
    check_spaces(experiment, episodes)
    with joined(parsed.device) as processes:
        _train(experiment, episodes, run, parsed.resume, processes)


def _train(experiment: Experiment, episodes: Episodes, run: Path, resume: bool, processes: Processes) -> None:
    control, device = experiment.control, processes.device
    control.check(episodes)
    kept, held_out = episodes.split(experiment.data.held_out, seed=experiment.seed)
    windows, checks = (control.examples(part, device) if part else None for part in (kept, held_out))
    assert windows is not None
    predictor = build(experiment, windows).to(device)
    course = Course(experiment.fingerprint(episodes.digest(), processes.count), experiment.seed)
    if processes.first:
        sizes = sizes_of(predictor)
        prepare(run, resume, save=lambda: save_config(run, experiment, sizes), load=load_config)
        _introduce(experiment, predictor, len(kept), len(windows), run, device)
    learn(predictor, windows, checks, experiment.train, run=run, course=course, resume=resume, processes=processes)
    if processes.first:
        write_card(run, experiment, predictor, episodes)
        console.print(f"trained {experiment.name}: {checkpoint.model_path(run)}", soft_wrap=True)


def check_spaces(experiment: Experiment, episodes: Episodes) -> None:
    """Raises `ValueError` unless a data set's sizes are those of the config's environment.

    On a machine without the environment's packages there is nothing to compare with, which is said.
    """
    try:
        env = experiment.maker()()
    except ImportError as missing:
        console.print(f"the data set is not checked against the environment: {missing}", soft_wrap=True)
        return
    spaces = {"observations": env.observation_space.shape, "actions": env.action_space.shape}
    env.close()
    for name, values in (("observations", episodes.observations), ("actions", episodes.actions)):
        if spaces[name] != tuple(values.shape[1:]):
            raise ValueError(
                f"{episodes.source} has {name} of shape {tuple(values.shape[1:])}; the environment "
                f"{experiment.env.id} has {spaces[name]}. Name the data set of this environment in data.dataset."
            )


def _introduce(
    experiment: Experiment, predictor: Predictor, episodes: int, examples: int, run: Path, device: torch.device
) -> None:
    count = sum(p.numel() for p in predictor.parameters())
    console.print(
        f"{experiment.name}: head {experiment.head.kind}, net {experiment.net.kind}, {count:,} parameters; "
        f"{episodes} episodes, {examples:,} examples; on {device}, into {run}",
        soft_wrap=True,
    )
