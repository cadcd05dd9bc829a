"""The model card of a run: what it is, from what data, with what settings."""

from pathlib import Path

from embodied_gen import provenance
from embodied_gen.commands.lessons import Lessons
from embodied_gen.experiment import Experiment
from embodied_gen.predictor import Predictor
from embodied_gen.training import files
from embodied_gen.training.metrics_log import read


def write_card(run: Path, experiment: Experiment, predictor: Predictor, lessons: Lessons) -> None:
    """Writes card.md with the front matter that model hubs read."""
    lines = [line for line in read(run / "metrics.jsonl") if "held_out_loss" in line]
    held_out = f"{lines[-1]['held_out_loss']:.4f}" if lines else "not measured"
    versions = ", ".join(f"{name} {version}" for name, version in provenance.versions().items())
    parameters = sum(p.numel() for p in predictor.parameters())
    text = f"""---
library_name: embodied-gen
pipeline_tag: robotics
tags: [imitation-learning, {experiment.head.kind}, {experiment.net.kind}]
---
# {experiment.name}

For {lessons.subject}: head `{experiment.head.kind}`, network `{experiment.net.kind}`,
{parameters:,} parameters. It predicts {experiment.control.describe()}.

- {lessons.data}.
- Training: {experiment.train.steps:,} steps of {experiment.train.batch} windows, seed {experiment.seed}.
- Loss on held-out data, averaged weights: {held_out}.
- Trained with {versions}.

`config.json` holds every setting, `model.safetensors` the averaged weights with the bounds and statistics of the
data. Scores are in `eval.json` once `embodied-gen evaluate` has run.
"""
    files.write_bytes(run / "card.md", text.encode())
