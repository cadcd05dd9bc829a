"""What a run learns from: examples of demonstrations, of recordings, of images, or of outlines."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

import envs  # noqa: F401 - registers the environments
from embodied_gen.blocks import (
    ImageSetBlock,
    InstancesControl,
    LabelledImagesBlock,
    LabelledSetBlock,
    LabelsBlock,
    LeavesBlock,
    OutlinesBlock,
    OutlinesControl,
    RecordingsBlock,
    RecordingsControl,
    SegmentationControl,
)
from embodied_gen.commands.console import console
from embodied_gen.demos import store
from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Examples
from embodied_gen.demos.outlines import OutlineExamples
from embodied_gen.events import Polygon
from embodied_gen.experiment import Experiment
from embodied_gen.forecasting.tracks import told
from embodied_gen.forecasting.windows import CrowdWindows
from embodied_gen.images.labelled import LabelledImages


@final
@dataclass(frozen=True)
class Lessons:
    """What a run learns from.

    Attributes:
        examples: On the device of the training.
        held_out: To measure the loss on; None where nothing is held out.
        digest: Hash of all the data.
        kept: What is learned from, in a word or two.
        subject: What the run is for, as a card calls it.
        data: The data, as a card calls them.
        notes: Lines on what was left out of the data, and why.
    """

    examples: Examples
    held_out: Examples | None
    digest: str
    kept: str
    subject: str
    data: str
    notes: tuple[str, ...] = ()


def lessons_of(experiment: Experiment, device: torch.device) -> Lessons:
    """The lessons of an experiment.

    Raises:
        FileNotFoundError: If the data are missing.
        ValueError: If they do not fit the experiment.
    """
    if isinstance(experiment.control, RecordingsControl) and isinstance(experiment.data, RecordingsBlock):
        return _of_recordings(experiment.control, experiment.data, device)
    if isinstance(experiment.control, SegmentationControl):
        assert isinstance(experiment.data, LabelledImagesBlock | LabelledSetBlock)
        return _of_label_maps(experiment.control, experiment.data, experiment.seed, device)
    if isinstance(experiment.control, InstancesControl) and isinstance(experiment.data, LeavesBlock | ImageSetBlock):
        return _of_instances(experiment, experiment.control, experiment.data, device)
    if isinstance(experiment.control, OutlinesControl) and isinstance(experiment.data, OutlinesBlock):
        return _of_outlines(experiment, experiment.control, experiment.data, device)
    return _of_demonstrations(experiment, device)


def _of_label_maps(control: SegmentationControl, data: LabelsBlock, seed: int, device: torch.device) -> Lessons:
    train, val = data.training(control.size)
    held_out = 0 if val is None else len(val)
    return Lessons(
        control.varied(train, data, seed, device),
        None if val is None else control.examples(val, data, device),
        _digest(values for part in (train, val) if part is not None for values in _told(part)),
        f"{len(train)} images",
        f"images with {len(data.classes)} classes",
        f"Images: {len(train)} to learn from, {held_out} held out, of {control.size[0]} x {control.size[1]}",
    )


def _told(part: LabelledImages) -> Iterator[Tensor]:
    """All that is known of labelled images."""
    yield from (part.images, part.labels)
    if part.surfaces is not None:
        yield from (part.surfaces.depth, torch.tensor([part.surfaces.fov]))


def _of_recordings(control: RecordingsControl, data: RecordingsBlock, device: torch.device) -> Lessons:
    train, val = data.windows()
    walls = [] if (known := data.walls()) is None else [known]
    subject, which = data.describe()
    return Lessons(
        control.varied(train, data, device),
        control.examples(val, data, device),
        _digest([*(values for part in (train, val) for values in (part.tracks, part.valid, part.starts)), *walls]),
        f"{len(train)} windows",
        subject,
        f"Recordings: {which}, {len(train)} windows, {len(train.tracks):,} tracks",
        (*_counted("learned from", train), *_counted("the loss is measured on", val)),
    )


def _counted(role: str, windows: CrowdWindows) -> list[str]:
    """Windows of a role and what was dropped of them; where windows were dropped across gaps, the gaps of each file."""
    lines = [f"{role}: {len(windows)} windows, {len(windows.tracks):,} tracks; {windows.dropped}"]
    if windows.dropped.gap_windows:
        lines += [f"{file}: {told(gaps)}" for file, gaps in zip(windows.sources, windows.gaps, strict=True) if gaps]
    return lines


def _of_instances(
    experiment: Experiment, control: InstancesControl, data: LeavesBlock | ImageSetBlock, device: torch.device
) -> Lessons:
    examples = data.examples("train", control.size, device)
    experiment.event.build(examples.values())  # which refuses images with too many objects, those held out as well
    kept, held_out = examples.split(data.held_out)
    return Lessons(
        kept,
        held_out,
        _digest((examples.images, examples.instances)),
        f"{len(kept)} images",
        data.describe(),
        f"Images: {data.describe()}, {len(examples):,} of {control.size[0]} x {control.size[1]} pixels",
    )


def _of_outlines(
    experiment: Experiment, control: OutlinesControl, data: OutlinesBlock, device: torch.device
) -> Lessons:
    event = experiment.event.build(torch.zeros(1, *control.shape(3)))
    assert isinstance(event, Polygon)  # of which the config is checked
    found = data.outlines()
    parts = {kind: outlines.split(data.held_out) for kind, outlines in found.items()}
    learned, last = ({kind: part[role] for kind, part in parts.items()} for role in (0, 1))
    train = control.varied(learned, data, event, device)
    val = control.examples(last, data, event, device) if any(last.values()) else None
    files = [
        f"{data.files[kind]}: {outlines.all} outlines of kind {kind}; left out {outlines.doubles} that are there "
        f"twice, {outlines.holes} with holes"
        for kind, outlines in found.items()
    ]
    return Lessons(
        train,
        val,
        _digest(values for part in (train, val) if part is not None for values in (part.observations(), part.values())),
        f"{train.outlines} outlines",
        f"outlines of kind {', '.join(data.files)}",
        f"Outlines: {train.outlines} to learn from, {0 if val is None else val.outlines} held out",
        (*files, f"learned from: {_outlined(train)}", *(() if val is None else (f"held out: {_outlined(val)}",))),
    )


def _outlined(part: OutlineExamples) -> str:
    return f"{part.outlines} outlines, {len(part)} with those turned; {part.left_out}"


def _digest(data: Iterable[Tensor]) -> str:
    """Hash of all that is learned from."""
    found = hashlib.sha256()
    for values in data:
        found.update(values.cpu().numpy().tobytes())
    return found.hexdigest()


def _of_demonstrations(experiment: Experiment, device: torch.device) -> Lessons:
    env, data = experiment.task
    control = experiment.control
    alone = RecordingsControl | SegmentationControl | InstancesControl | OutlinesControl
    assert not isinstance(control, alone)  # which have no task
    episodes = store.read(data.dataset, root=Path(data.root), episodes=data.episodes)
    check_spaces(experiment, episodes)
    control.check(episodes)
    kept, held_out = episodes.split(data.held_out, seed=experiment.seed)
    examples, checks = (control.examples(part, device) if part else None for part in (kept, held_out))
    assert examples is not None
    return Lessons(
        examples,
        checks,
        episodes.digest(),
        f"{len(kept)} episodes",
        f"`{env.id}`",
        f"Demonstrations: `{data.dataset}`, {len(episodes)} episodes, {len(episodes.actions):,} steps",
    )


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
                f"{experiment.task[0].id} has {spaces[name]}. Name the data set of this environment in data.dataset."
            )
