"""The model card of a run: what it is, from what data, with what settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from embodied_gen import provenance
from embodied_gen.commands.lessons import Lessons
from embodied_gen.experiment import Experiment
from embodied_gen.nets.base import parameters_of
from embodied_gen.predictor import Predictor
from embodied_gen.training import files
from embodied_gen.training.metrics_log import read
from embodied_gen.training.settings import TrainSettings


@final
@dataclass(frozen=True)
class Card:
    """What a card says.

    Attributes:
        name: Of the run.
        task: As model hubs call it.
        tags: Likewise.
        what: What the run is for, and what it is, in a sentence or two.
        data: What it has learned from, without a full stop.
        train: Settings of the training.
        seed: Of the training.
        examples: What a step sees some of, in the plural.
    """

    name: str
    task: str
    tags: tuple[str, ...]
    what: str
    data: str
    train: TrainSettings
    seed: int
    examples: str


def card_of(experiment: Experiment, predictor: Predictor, lessons: Lessons) -> Card:
    """The card of a policy, a planner or a forecaster."""
    head, net = experiment.head.kind, experiment.net.kind
    parameters = parameters_of(predictor)
    return Card(
        name=experiment.name,
        task="robotics",
        tags=("imitation-learning", head, net),
        what=f"For {lessons.subject}: head `{head}`, network `{net}`,\n{parameters:,} parameters. It predicts "
        f"{experiment.control.describe()}.",
        data=lessons.data,
        train=experiment.train,
        seed=experiment.seed,
        examples="windows",
    )


def write_card(run: Path, card: Card) -> None:
    """Writes card.md with the front matter that model hubs read."""
    lines = [line for line in read(run / "metrics.jsonl") if "held_out_loss" in line]
    held_out = f"{lines[-1]['held_out_loss']:.4f}" if lines else "not measured"
    versions = ", ".join(f"{name} {version}" for name, version in provenance.versions().items())
    text = f"""---
library_name: embodied-gen
pipeline_tag: {card.task}
tags: [{", ".join(card.tags)}]
---
# {card.name}

{card.what}

- {card.data}.
- Training: {card.train.steps:,} steps of {card.train.batch} {card.examples}, seed {card.seed}.
- Loss on held-out data, averaged weights: {held_out}.
- Trained with {versions}.

`config.json` holds every setting, `model.safetensors` the averaged weights with the bounds and statistics of the
data. Scores are in `eval.json` once `embodied-gen evaluate` has run.
"""
    files.write_bytes(run / "card.md", text.encode())
