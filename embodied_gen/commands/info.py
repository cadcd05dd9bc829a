"""`embodied-gen info`: says what a run or a config is."""

from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import tyro
import yaml

import envs  # noqa: F401 - registers the environments
from embodied_gen import config, detection, experiment, provenance
from embodied_gen.blocks import (
    InstancesControl,
    LabelledImagesBlock,
    LabelledSetBlock,
    OutlinesBlock,
    RecordingsControl,
)
from embodied_gen.commands.console import console, parse
from embodied_gen.config import Block
from embodied_gen.detection.experiment import DetectorRun
from embodied_gen.experiment import Experiment, Sizes
from embodied_gen.nets.base import parameters_of
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
        _describe_run(path)
    elif "detector" in config.keys_of(path):
        found = detection.read(path)
        _tell(f"config {path}", f"detector     {found.detector.kind}; its sizes are those of the images", found)
    else:
        described = experiment.read(path)
        _describe(described, experiment.empty(described, _sizes(described)), f"config {path}")


def _describe_run(folder: Path) -> None:
    if detection.is_run(folder):
        found = detection.load(folder)
        _describe_detector(found, f"run {folder}, {found.step} steps")
    else:
        run = experiment.load(folder)
        _describe(run.experiment, run.predictor, f"run {folder}, {run.step} steps")


def _sizes(described: Experiment) -> Sizes:
    if isinstance(described.control, RecordingsControl | InstancesControl):
        return Sizes(*described.control.sizes(0, 0))
    if isinstance(described.data, LabelledImagesBlock | LabelledSetBlock):
        return Sizes(*described.control.sizes(described.data.channels, len(described.data.classes)))
    if isinstance(described.data, OutlinesBlock):
        return Sizes(*described.control.sizes(described.data.channels, 0))
    env = described.maker()()
    sizes = _sizes_in(described, env)
    env.close()
    return sizes


def _sizes_in(described: Experiment, env: gym.Env) -> Sizes:
    seen, done = env.observation_space.shape, env.action_space.shape
    if not seen or not done:
        raise ValueError(f"a policy needs actions in a Box of shape (A,); {env.unwrapped} has {env.action_space}.")
    return Sizes(*described.control.sizes(seen[0], done[0]))


def _describe(described: Experiment, predictor: Predictor, title: str) -> None:
    sizes, control = experiment.sizes_of(predictor), described.control
    facts = (
        f"observation  ({control.history}, {sizes.observation})\n"
        f"event        {tuple(predictor.head.event.shape)}, {described.event.kind}: "
        f"{control.describe()}\n"
        f"head         {described.head.kind}, {type(predictor.head).__name__}\n"
        f"net          {described.net.kind}, {parameters_of(predictor.head):,} parameters"
    )
    _tell(title, facts, described)


def _describe_detector(run: DetectorRun, title: str) -> None:
    head = run.predictor.head
    facts = (
        f"observation  {run.images.size}, bytes\n"
        f"event        {tuple(head.event.shape)}, boxes of {', '.join(run.images.classes)}\n"
        f"detector     {run.detection.detector.kind}, {type(head).__name__}\n"
        f"net          {parameters_of(head):,} parameters, and {parameters_of(run.predictor.encoder):,} of the pyramid"
    )
    _tell(title, facts, run.detection)


def _tell(title: str, facts: str, settings: Block) -> None:
    """The facts, all settings, and the versions in use."""
    console.print(title, style="bold", soft_wrap=True)
    console.print(facts, soft_wrap=True)
    console.print(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False).rstrip())
    console.print(", ".join(f"{name} {version}" for name, version in provenance.versions().items()), soft_wrap=True)
