"""`embodied-gen info`: says what a run or a config is."""

from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import tyro
import yaml
from torch import nn

import envs  # noqa: F401 - registers the environments
from embodied_gen import experiment, provenance
from embodied_gen.blocks import ForecastControl, InstancesControl
from embodied_gen.commands.console import console, parse
from embodied_gen.experiment import Experiment, Sizes
from embodied_gen.predictor import Predictor


@dataclass
class Arguments:
    """Prints the settings, the shapes and the parameters of a run or of a config, and the versions in use."""

    what: tyro.conf.Positional[str]
    """Folder of a run, or a config file."""


def main(arguments: list[str]) -> None:
    """Runs the verb."""
    path = Path(parse(Arguments, "info", arguments).what)
    if path.is_dir():
        run = experiment.load(path)
        _describe(run.experiment, run.predictor, f"run {path}, {run.step} steps")
    else:
        config = experiment.read(path)
        _describe(config, experiment.empty(config, _sizes(config)), f"config {path}")


def _sizes(config: Experiment) -> Sizes:
    if isinstance(config.control, ForecastControl | InstancesControl):
        return Sizes(*config.control.sizes(0, 0))
    env = config.maker()()
    sizes = _sizes_in(config, env)
    env.close()
    return sizes


def _sizes_in(config: Experiment, env: gym.Env) -> Sizes:
    seen, done = env.observation_space.shape, env.action_space.shape
    if not seen or not done:
        raise ValueError(f"a policy needs actions in a Box of shape (A,); {env.unwrapped} has {env.action_space}.")
    return Sizes(*config.control.sizes(seen[0], done[0]))


def _describe(config: Experiment, predictor: Predictor, title: str) -> None:
    sizes, control = experiment.sizes_of(predictor), config.control
    console.print(title, style="bold", soft_wrap=True)
    console.print(
        f"observation  ({control.history}, {sizes.observation})\n"
        f"event        {tuple(predictor.head.event.shape)}, {config.event.kind}: "
        f"{control.describe()}\n"
        f"head         {config.head.kind}, {type(predictor.head).__name__}\n"
        f"net          {config.net.kind}, {_count(predictor.head):,} parameters",
        soft_wrap=True,
    )
    console.print(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).rstrip())
    console.print(", ".join(f"{name} {version}" for name, version in provenance.versions().items()), soft_wrap=True)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
