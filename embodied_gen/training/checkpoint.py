"""Checkpoints: all that a run needs to go on exactly as if nothing had happened.

    run/model.safetensors         averaged weights, bounds and statistics: what is deployed
    run/state/last.safetensors    weights, averaged weights, moments of AdamW; step, seed, fingerprint,
                                  precision and versions

Random numbers and the order of the data are functions of the seed and the step, so these two stand for them. The
state is one file, replaced in one rename. The fingerprint is a hash of all that fixes the course of a run.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from embodied_gen import __version__
from embodied_gen.training import files
from embodied_gen.training.precision import Precision


@final
@dataclass(frozen=True)
class Course:
    """What fixes the course of a run.

    Attributes:
        fingerprint: Hash of the experiment, the data and the number of processes.
        seed: Of all draws.
    """

    fingerprint: str
    seed: int


def model_path(run: Path) -> Path:
    """Where a run keeps its averaged weights."""
    return run / "model.safetensors"


def state_path(run: Path) -> Path:
    """Where a run keeps its training state."""
    return run / "state" / "last.safetensors"


def save(
    run: Path,
    step: int,
    course: Course,
    module: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
) -> None:
    """Replaces the training state, then the averaged weights, of a run after `step` steps.

    Raises:
        OSError: If there is no space; the last good files are kept.
    """
    tensors = {f"module.{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    tensors |= _moments(module, optimizer)
    note = {"step": step, "seed": course.seed, "fingerprint": course.fingerprint}
    files.write_tensors(state_path(run), tensors, note | _arithmetic(precision))
    save_model(run, step, average)


def save_model(run: Path, step: int, average: nn.Module) -> None:
    """Replaces the averaged weights of a run.

    Raises:
        OSError: If there is no space; the last good file is kept.
    """
    files.write_tensors(model_path(run), average.state_dict(), {"step": step})


def steps_taken(run: Path) -> int:
    """Steps of a run's training state, 0 where there is none; see `files.read_note` for what is raised."""
    path = state_path(run)
    return int(files.read_note(path).get("step", 0)) if path.is_file() else 0


def check(run: Path, course: Course) -> dict[str, Any]:
    """The note of a training state, where it belongs to a course; see `load` for what is raised."""
    note = files.read_note(state_path(run))
    if not {"step", "seed", "fingerprint"} <= note.keys():
        raise ValueError(
            f"{state_path(run)} is no training state (its note is {note}). It was left as it is; "
            "restore it from a copy or train again into another folder."
        )
    if note["seed"] != course.seed or note["fingerprint"] != course.fingerprint:
        raise ValueError(
            f"{run} was trained with another configuration, data set, seed or number of processes than asked for "
            "now, so it cannot go on exactly. Resume with the same ones (run/config.json holds them), "
            "or train into another folder with --out."
        )
    return note


def load(
    run: Path,
    course: Course,
    module: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
) -> int:
    """Restores a training state in place and returns the number of steps taken.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file is damaged, or belongs to another course than the one asked for.

    Warns:
        UserWarning: If another version of torch or of this library, or another precision, wrote the file.
    """
    note = check(run, course)
    tensors, _ = files.read_tensors(state_path(run))
    now = _arithmetic(precision)
    other = [name for name in now if note.get(name) != now[name]]
    if other:
        before, after = (", ".join(f"{name} {of.get(name, 'unknown')}" for name in other) for of in (note, now))
        warnings.warn(
            f"{state_path(run)} was written with {before} and goes on with {after}: "
            "the weights will be close to those of an uninterrupted run, not identical.",
            stacklevel=2,
        )
    module.load_state_dict(_part(tensors, "module."))
    average.load_state_dict(_part(tensors, "average."))
    _restore_moments(_part(tensors, "optimizer."), module, optimizer)
    return int(note["step"])


def _arithmetic(precision: Precision) -> dict[str, str]:
    """What the last digits of weights depend on beside the course."""
    return {"torch": torch.__version__, "embodied-gen": __version__, "precision": precision}


def _moments(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"optimizer.{name}.{key}": value
        for name, parameter in module.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }


def _restore_moments(tensors: dict[str, Tensor], module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for name, parameter in module.named_parameters():
        saved = _part(tensors, f"{name}.")
        # A moment has the parameter's device; AdamW's own step counter stays where AdamW keeps it.
        optimizer.state[parameter] = {
            key: value.to(parameter.device) if value.ndim or _fused(optimizer) else value
            for key, value in saved.items()
            if "." not in key
        }


def _fused(optimizer: torch.optim.Optimizer) -> bool:
    return bool(optimizer.defaults.get("fused"))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
