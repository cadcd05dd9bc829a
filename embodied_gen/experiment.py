"""Experiments: a config file as typed data, and the predictor that it describes.

Library classes never see a config: `build` hands them plain arguments.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from embodied_gen import __version__, config
from embodied_gen.blocks import (
    ControlBlock,
    DataBlock,
    DenoisingBlock,
    EnvBlock,
    EthUcyBlock,
    EventBlock,
    HeadBlock,
    ImageSetBlock,
    LabelledImagesBlock,
    LabelledSetBlock,
    LeavesBlock,
    MLPBlock,
    NetBlock,
    OutlinesBlock,
    OutlinesControl,
    PolicyControl,
    PolygonEventBlock,
    TracksBlock,
    TrajectoryBlock,
)
from embodied_gen.blocks.control import EXECUTION, Encoder
from embodied_gen.control import Policy
from embodied_gen.demos.examples import Examples
from embodied_gen.events import Event
from embodied_gen.heads.guidance import Guide
from embodied_gen.predictor import Predictor
from embodied_gen.slots import EnvMaker
from embodied_gen.training import checkpoint, files
from embodied_gen.training.settings import TrainSettings

# Data without an environment, and the controls that go with each.
_ALONE = {
    "eth_ucy": ("forecast", "crowd", "crowd_set"),
    "tracks": ("forecast", "crowd", "crowd_set"),
    "labelled_images": ("segmentation",),
    "labelled_set": ("segmentation",),
    "leaves": ("instances",),
    "image_set": ("instances",),
    "outlines": ("outlines",),
}
# Controls whose values are of one kind, and the event of that kind; the others are events of no other control.
_NEEDED = {"crowd": "scene", "crowd_set": "set"}
_EVENTS = {"segmentation": "label_map", "instances": "instances", "outlines": "polygon"}


@final
class Experiment(config.Block):
    """Environment, demonstrations, network, head, training and control of one policy; or all of what has none.

    What learns from demonstrations has an environment. A forecaster learns from recordings, segmenters learn from
    images and models of outlines from polygons, which have none.
    """

    name: str = Field(description="Short name, used for the run's folder.")
    seed: int = Field(0, ge=0, description="Of the weights, the data order and the training draws.")
    env: EnvBlock | None
    data: Annotated[
        DataBlock
        | EthUcyBlock
        | TracksBlock
        | LabelledImagesBlock
        | LabelledSetBlock
        | LeavesBlock
        | ImageSetBlock
        | OutlinesBlock,
        Field(discriminator="kind"),
    ]
    event: EventBlock = TrajectoryBlock()
    net: NetBlock = MLPBlock()
    head: HeadBlock = DenoisingBlock()
    control: ControlBlock = PolicyControl()
    train: TrainSettings = TrainSettings()
    start_from: str | None = Field(None, description="Run whose weights training starts from; null for random ones.")

    @model_validator(mode="before")
    @classmethod
    def _kinds(cls, content: Any) -> Any:
        """Data are demonstrations and control is a policy unless they say otherwise; others have no environment."""
        if not isinstance(content, Mapping):
            return content
        usual = {"data": "demonstrations", "control": "policy"}
        given = {name: content[name] for name in usual if isinstance(content.get(name), Mapping)}
        told = {name: {"kind": usual[name], **block} for name, block in given.items()}
        alone = {"env": None} if told.get("data", {}).get("kind") in _ALONE else {}
        return {**alone, **content, **told}

    @model_validator(mode="after")
    def _check_actions(self) -> "Experiment":
        if isinstance(self.control, PolicyControl) and self.control.actions > self.control.horizon:
            raise ValueError(
                f"control.actions ({self.control.actions}) must not exceed control.horizon ({self.control.horizon})"
            )
        return self

    @model_validator(mode="after")
    def _check_source(self) -> "Experiment":
        wanted, alone = _ALONE.get(self.data.kind), {kind for kinds in _ALONE.values() for kind in kinds}
        fits = self.control.kind not in alone if wanted is None else self.control.kind in wanted
        if not fits or (wanted is None) == (self.env is None):
            raise ValueError(
                "recordings (data.kind eth_ucy, tracks) go with control.kind forecast, crowd or crowd_set and no env, "
                "images (labelled_images, labelled_set) with control.kind segmentation and no env, images (leaves, "
                "image_set) with control.kind instances and no env, outlines with control.kind outlines and no env, "
                "demonstrations with an env and another control; got data.kind "
                f"{self.data.kind}, control.kind {self.control.kind} and {'no env' if self.env is None else 'an env'}"
            )
        return self

    @model_validator(mode="after")
    def _check_event(self) -> "Experiment":
        for control, event in _NEEDED.items():
            if self.control.kind == control and self.event.kind != event:
                raise ValueError(f"control.kind {control} needs event.kind {event}; got {self.event.kind}")
        for control, event in _EVENTS.items():
            if (self.control.kind == control) != (self.event.kind == event):
                raise ValueError(
                    f"control.kind {control} and event.kind {event} go together; "
                    f"got {self.control.kind} and {self.event.kind}"
                )
        return self

    @model_validator(mode="after")
    def _check_vertices(self) -> "Experiment":
        control, event = self.control, self.event
        if isinstance(control, OutlinesControl) and isinstance(event, PolygonEventBlock):
            if control.vertices != event.vertices:
                raise ValueError(
                    f"event.vertices and control.vertices must be the same; got {event.vertices} and {control.vertices}"
                )
        return self

    @property
    def task(self) -> tuple[EnvBlock, DataBlock]:
        """The environment and its demonstrations.

        Raises:
            ValueError: If there is no environment.
        """
        if self.env is None or not isinstance(self.data, DataBlock):
            raise ValueError(
                f"{self.name} predicts {self.control.describe()}, which no environment is asked for. "
                "Name a config or a run with an env."
            )
        return self.env, self.data

    def maker(self) -> EnvMaker:
        """Recipe of the environment; `envs` registers the project's own.

        Raises:
            ValueError: If there is none.
        """
        env, _ = self.task
        return EnvMaker(env.id, dict(env.kwargs), ("envs",), env.keys)

    def fingerprint(self, data: str, processes: int) -> str:
        """Hash of all that fixes the course of a training run."""
        course = self.model_dump(include={"seed", "data", "event", "net", "head", "control", "train"})
        course["control"] = {name: value for name, value in course["control"].items() if name not in EXECUTION}
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
        """The run's policy; see `Policy` for the arguments.

        Raises:
            ValueError: If the run is no policy.
        """
        control = self.experiment.control
        if not isinstance(control, PolicyControl):
            raise ValueError(
                f"{self.folder} predicts {control.describe()}, which is no policy. Name a run with control.kind policy."
            )
        return Policy(
            self.predictor,
            history=control.history,
            actions=control.actions,
            ensemble=control.ensemble,
            guide=guide,
            block=block,
        )


def build(experiment: Experiment, examples: Examples) -> Predictor:
    """A new predictor, with bounds and statistics of the demonstrations; see `assembled`."""
    parts = experiment.control, experiment.event, experiment.net, experiment.head
    return assembled(*parts, examples=examples, seed=experiment.seed)


def assembled(
    control: ControlBlock, event: EventBlock, net: NetBlock, head: HeadBlock, *, examples: Examples, seed: int
) -> Predictor:
    """A new predictor from blocks, with bounds and statistics of examples; see `around`."""
    parts = control, event.build(examples.values()), net, head
    return around(*parts, observations=examples.observations(), seed=seed)


def around(
    control: ControlBlock, event: Event, net: NetBlock, head: HeadBlock, *, observations: Tensor, seed: int
) -> Predictor:
    """A new predictor of an event, which becomes a part of it, with the statistics of observations `(N, O)`.

    Weights are initialised from the seed; the global random state is left as it was.
    """
    deviation = observations.std(0, correction=0)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would touch the GPUs' states too
        return _assemble(control, event, net, head, observations.mean(0), deviation)


def empty(experiment: Experiment, sizes: Sizes) -> Predictor:
    """A predictor whose weights, bounds and statistics are yet to be loaded."""
    event = experiment.event.build(torch.zeros(1, *experiment.control.shape(sizes.action)))
    zeros = torch.zeros(sizes.observation)
    with torch.random.fork_rng(devices=[]):
        return _assemble(experiment.control, event, experiment.net, experiment.head, zeros, zeros + 1)


def sizes_of(predictor: Predictor) -> Sizes:
    """The sizes that a predictor was built for."""
    encoder = predictor.encoder
    assert isinstance(encoder, Encoder)
    return Sizes(encoder.size, predictor.head.event.shape[-1])


def read(path: Path) -> Experiment:
    """Reads a config file; see `config.read` for what is raised."""
    return config.read(path, Experiment, "config")


def parse(content: Any, source: str) -> Experiment:
    """An experiment from plain data; see `config.parse`."""
    return config.parse(content, Experiment, source)


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
    if "detection" in content:
        raise ValueError(
            f"{folder} is the run of a detector, which acts in no environment. Score it on images (embodied-gen "
            "evaluate RUN), or load it with detection.load."
        )
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
    files.fill(predictor, tensors, path)
    return Run(folder, experiment, predictor.to(device).eval(), int(note["step"]))


def _assemble(
    control: ControlBlock, event: Event, net: NetBlock, head: HeadBlock, mean: Tensor, deviation: Tensor
) -> Predictor:
    encoder = control.encoder(mean, deviation)

    def make_net(channels_out: int, channels_in: int | None = None) -> nn.Module:
        shape = (*event.shape[:-1], channels_in or event.shape[-1])
        return net.build(shape, channels_out, encoder.width)

    return Predictor(encoder, head.build(event, make_net))
