"""One tiny experiment: what the tests of data, training, control and commands share."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
import yaml

from embodied_gen import experiment
from embodied_gen.commands.main import main
from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.windows import Windows
from embodied_gen.training import checkpoint

DATASET = "embodied/tiny/expert-v0"
EPISODES = 8


def content(root, **changes):
    """The config as plain data; `changes` are merged into blocks of the same kind and replace others."""
    base = {
        "name": "tiny",
        "env": {"id": "embodied/Avoid-v0"},
        "data": {"dataset": DATASET, "root": str(root), "episodes": EPISODES, "held_out": 0.2},
        "event": {"kind": "path"},
        "net": {"kind": "mlp", "width": 16, "depth": 1},
        "head": {"kind": "denoising", "steps": 3},
        "control": {"history": 2, "horizon": 8, "actions": 4},
        "train": {
            "steps": 40,
            "batch": 16,
            "rate": 3e-3,
            "warmup": 5,
            "average": 0.9,
            "precision": "fp32",
            "log_every": 3,
            "validate_every": 20,
            "checkpoint_every": 10,
        },
    }
    for block, change in changes.items():
        if isinstance(change, dict) and change.get("kind") in (None, base[block].get("kind")):
            base[block] |= change
        else:
            base[block] = change
    return copy.deepcopy(base)


def config_file(folder, root, **changes):
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content(root, **changes)))
    return path


def experiment_of(root="data", **changes):
    return experiment.parse(content(root, **changes), "tiny")


def episodes_of(lengths=(9, 12, 10), observation=4, action=2, seed=0):
    """Random demonstrations."""
    rng = np.random.default_rng(seed)
    steps = sum(lengths)
    return Episodes(
        torch.from_numpy(rng.normal(size=(steps, observation)).astype(np.float32)),
        torch.from_numpy(rng.normal(size=(steps, action)).astype(np.float32)),
        torch.tensor([0, *lengths]).cumsum(0),
        "dataset random",
    )


def windows_of(config, episodes=None):
    return Windows(episodes or episodes_of(), history=config.control.history, horizon=config.control.horizon)


def predictor_of(config, episodes=None):
    """A new predictor whose output layers are not zero, as after some training."""
    predictor = experiment.build(config, windows_of(config, episodes))
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=stream))
    return predictor.eval()


PLANNER = {
    "kind": "planner",
    "state": [0, 1, 2, 3],
    "goal": [4, 5],
    "reaches": [0, 1],
    "horizon": 4,
    "strides": 2,
    "candidates": 2,
    "replan": 3,
}
TRACKER = {"position": [0, 1], "velocity": [2, 3], "p": 1.0, "d": 0.0}


def untrained_run(folder, control, observation=6, action=2, **changes):
    """A run in the simple environment that was never trained, with random demonstrations as its statistics."""
    env = {"id": "embodied/Reach-v0", "kwargs": {"max_episode_steps": 5}}
    config = experiment.parse(content("data", env=env, **changes) | {"control": control}, "tiny")
    examples = config.control.examples(episodes_of((20, 20), observation, action))
    predictor = experiment.build(config, examples).eval()
    experiment.save_config(folder, config, experiment.sizes_of(predictor))
    checkpoint.save_model(folder, 1, predictor)
    return folder


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    status: int
    out: str
    err: str


def call(arguments, capsys):
    """Runs the command line in this process."""
    capsys.readouterr()
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return Outcome(status, captured.out, captured.err)
