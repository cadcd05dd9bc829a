"""Experiments: a config file as typed data, and the predictor that it describes.

A config is YAML, read into immutable models. All mistakes of a file are reported together, each with its path, what
was expected and what was found. Library classes never see a config: `build` hands them plain arguments.
"""

import difflib
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator
from torch import Tensor, nn

from embodied_gen import __version__
from embodied_gen.blocks import (
    Block,
    ControlBlock,
    DataBlock,
    DenoisingBlock,
    EnvBlock,
    EventBlock,
    HeadBlock,
    MLPBlock,
    NetBlock,
    TrajectoryBlock,
)
from embodied_gen.control import Policy
from embodied_gen.demos.windows import Windows
from embodied_gen.encoder import StateEncoder
from embodied_gen.events import Event
from embodied_gen.heads.guidance import Guide
from embodied_gen.predictor import Predictor
from embodied_gen.slots import EnvMaker
from embodied_gen.training import checkpoint, files
from embodied_gen.training.settings import TrainSettings


@final
class Experiment(Block):
    """Environment, demonstrations, network, head, training and control of one policy."""

    name: str = Field(description="Short name, used for the run's folder.")
    seed: int = Field(0, ge=0, description="Of the weights, the data order and the training draws.")
    env: EnvBlock
    data: DataBlock
    event: EventBlock = TrajectoryBlock()
    net: NetBlock = MLPBlock()
    head: HeadBlock = DenoisingBlock()
    control: ControlBlock = ControlBlock()
    train: TrainSettings = TrainSettings()

    @model_validator(mode="after")
    def _check_actions(self) -> "Experiment":
        if self.control.actions > self.control.horizon:
            raise ValueError(
                f"control.actions ({self.control.actions}) must not exceed control.horizon ({self.control.horizon})"
            )
        return self

    def maker(self) -> EnvMaker:
        """Recipe of the environment; `envs` registers the project's own."""
        return EnvMaker(self.env.id, dict(self.env.kwargs), ("envs",), self.env.keys)

    def fingerprint(self, data: str, processes: int) -> str:
        """Hash of all that fixes the course of a training run."""
        course = self.model_dump(include={"seed", "data", "event", "net", "head", "control", "train"})
        text = json.dumps([course, data, processes], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@final
@dataclass(frozen=True)
class Sizes:
    """Numbers in one observation and one action."""

    observation: int
    action: int


@final
@dataclass(frozen=True)
class Run:
    """A trained run.

    Attributes:
        folder: Where it lies.
        experiment: Its config.
        predictor: With averaged weights.
        step: Optimiser steps taken.
    """

    folder: Path
    experiment: Experiment
    predictor: Predictor
    step: int

    def policy(self, *, guide: Guide | None = None, block: int | None = None) -> Policy:
        """The run's policy; see `Policy` for the arguments."""
        control = self.experiment.control
        return Policy(
            self.predictor,
            history=control.history,
            actions=control.actions,
            ensemble=control.ensemble,
            guide=guide,
            block=block,
        )


def build(experiment: Experiment, windows: Windows) -> Predictor:
    """A new predictor, with bounds and statistics of the demonstrations.

    Weights are initialised from the experiment's seed; the global random state is left as it was.
    """
    observations = windows.episodes.observations
    event = experiment.event.build(windows.chunks())
    deviation = observations.std(0, correction=0)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(experiment.seed)  # torch.manual_seed would touch the GPUs' states too
        return _assemble(experiment, event, observations.mean(0), deviation)


def empty(experiment: Experiment, sizes: Sizes) -> Predictor:
    """A predictor whose weights, bounds and statistics are yet to be loaded."""
    event = experiment.event.build(torch.zeros(1, experiment.control.horizon, sizes.action))
    zeros = torch.zeros(sizes.observation)
    with torch.random.fork_rng(devices=[]):
        return _assemble(experiment, event, zeros, zeros + 1)


def sizes_of(predictor: Predictor) -> Sizes:
    """The sizes that a predictor was built for."""
    encoder = predictor.encoder
    assert isinstance(encoder, StateEncoder)
    return Sizes(len(encoder.mean), predictor.head.event.shape[-1])


def read(path: Path) -> Experiment:
    """Reads a config file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: With one line for each mistake.
    """
    if not path.is_file():
        near = difflib.get_close_matches(str(path), [str(p) for p in path.parent.glob("*.yaml")], n=1, cutoff=0.3)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise FileNotFoundError(f"there is no config file {path}.{hint}")
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return parse(content, str(path))


def parse(content: Any, source: str) -> Experiment:
    """An experiment from plain data.

    Raises:
        ValueError: With one line for each mistake.
    """
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{source} must hold a mapping of blocks (name, env, data, ...); got {type(content).__name__}."
        )
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise ValueError(explain(error, Experiment, source)) from None


def explain(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """One line for each mistake: the path, what is wrong, and the nearest known key."""
    lines = []
    for mistake in error.errors():
        location = [part for part in mistake["loc"] if isinstance(part, str | int)]
        known, path, kinds = _walk(model, location)
        if mistake["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
            lines.append(f"{source}: {path}: unknown key; {hint}")
        elif mistake["type"] == "union_tag_not_found":
            lines.append(f"{source}: {path}: kind is missing; expected one of {', '.join(kinds)}")
        else:
            got = "" if mistake["type"] == "missing" else f"; got {mistake['input']!r}"
            message = mistake["msg"].removeprefix("Value error, ")
            lines.append(
                f"{source}: {path or 'config'}: {message}" + ("" if isinstance(mistake["input"], Mapping) else got)
            )
    return "\n".join(lines)


def save_config(folder: Path, experiment: Experiment, sizes: Sizes) -> None:
    """Writes a run's config.json."""
    content = {
        "schema": files.SCHEMA,
        "library": __version__,
        "sizes": {"observation": sizes.observation, "action": sizes.action},
        "experiment": experiment.model_dump(mode="json"),
    }
    files.write_json(folder / "config.json", content)


def load_config(folder: Path) -> tuple[Experiment, Sizes]:
    """Reads a run's config.json.

    Raises:
        FileNotFoundError: If the folder is not a run.
        ValueError: If the file is damaged or newer than this version.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a run: it has no config.json. Train one: embodied-gen train CONFIG.")
    content = files.read_json(path)
    try:
        sizes = Sizes(int(content["sizes"]["observation"]), int(content["sizes"]["action"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: sizes must hold the numbers observation and action.") from error
    return parse(content.get("experiment"), str(path)), sizes


def load(folder: Path, device: torch.device | str = "cpu") -> Run:
    """Loads a run. Nothing is unpickled and no code of the run is executed.

    Raises:
        FileNotFoundError: If the folder is not a run, or has no weights yet.
        ValueError: If a file is damaged, foreign, or of a newer schema.
    """
    experiment, sizes = load_config(folder)
    path = checkpoint.model_path(folder)
    tensors, note = files.read_tensors(path)
    predictor = empty(experiment, sizes)
    _fill(predictor, tensors, path)
    return Run(folder, experiment, predictor.to(device).eval(), int(note["step"]))


def _assemble(experiment: Experiment, event: Event, mean: Tensor, deviation: Tensor) -> Predictor:
    encoder = StateEncoder(experiment.control.history, mean, deviation)

    def make_net(channels_out: int) -> nn.Module:
        horizon, channels = event.shape
        return experiment.net.build(horizon, channels, channels_out, encoder.width)

    return Predictor(encoder, experiment.head.build(event, make_net))


def _fill(predictor: Predictor, tensors: Mapping[str, Tensor], path: Path) -> None:
    expected = predictor.state_dict()
    wrong = sorted(expected.keys() ^ tensors.keys()) or [
        name for name, value in expected.items() if value.shape != tensors[name].shape
    ]
    if wrong:
        raise ValueError(
            f"{path} does not fit the config beside it: {wrong[0]} and {len(wrong) - 1} more differ. "
            "Restore the pair of files from one run."
        )
    predictor.load_state_dict(tensors)


def _walk(model: type[BaseModel], location: Sequence[str | int]) -> tuple[list[str], str, list[str]]:
    """The known keys beside the last part of a location, the location as a config path, and the kinds it can have."""
    current: Any = model
    known: list[str] = []
    path: list[str] = []
    for part in location:
        options = _models(current)
        tagged = [m for m in options if _kind(m) == part and len(options) > 1]
        if tagged:  # pydantic names the chosen member of a union; a config path does not
            current = tagged[0]
            continue
        path.append(str(part))
        if isinstance(part, int):  # an entry of a list, of which `current` is the annotation
            continue
        fields = next((m.model_fields for m in options), {})
        known = list(fields)
        current = fields[part].annotation if part in fields else None
    return known, ".".join(path), [str(_kind(m)) for m in _models(current)]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated, list):
        return [m for part in typing.get_args(annotation) for m in _models(part)]
    return []


def _kind(model: type[BaseModel]) -> Any:
    kinds = typing.get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
    return kinds[0] if kinds else None
