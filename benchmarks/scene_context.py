"""What is missing and what is out of place in a street scene, by models of which things are where.

    python benchmarks/scene_context.py FOLDER [--seeds 3]

FOLDER holds train.txt, val.txt and test.txt, and the folders images and labels (CamVid, see docs/segmentation.md). A
unit is a class in one of 2 x 3 parts of the image; it is on where the class has at least half a percent of the part's
pixels. Units that are always or never on in the training part are left out. Models learn from the training part which
units are on together; of several numbers of steps the one of least log loss on val is taken. They are asked, on test,

    half seen       half of the units, at random, are known: log loss of the others, nat a unit
    out of place    a unit that is off is turned on: how often it is the most surprising of all units
    missing         a unit that is on is turned off: likewise

and so are the shares of the training images that have each unit, which know nothing of what goes together. The units
that are turned are chosen at random for each image and seed. Writes benchmarks/results/scene_context.json.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor
from torch.nn import functional

from embodied_gen import draws, provenance
from embodied_gen.commands.console import console, progress
from embodied_gen.events import Binary
from embodied_gen.heads import BeliefHead, Head, HopfieldHead, RBMHead
from embodied_gen.images.label_folder import read_part
from embodied_gen.nets import ResidualMLP
from embodied_gen.training import files

CLASSES = "sky building pole road pavement tree sign fence car pedestrian bicyclist".split()
VOID, SIZE, PARTS = 11, (240, 180), (2, 3)
PRESENT = 0.005  # share of a part's pixels from which on a class is there
STEPS, EVERY, ROWS, RATE, DECAY = 1500, 250, 64, 5e-3, 0.05
HIDDEN, LAYERS = 32, (32, 16)

Predict = Callable[[Tensor, Tensor], Tensor]
"""Probability that units are on, from events and what is seen of them, `(B, 1, N)` each."""
Surprise = Callable[[Tensor], Tensor]


@dataclass
class Arguments:
    """What is missing and what is out of place in a street scene."""

    folder: tyro.conf.Positional[str]
    """Folder of the images."""
    seeds: int = 3
    """Trainings of each model."""
    steps: int = STEPS
    """Steps of training, of which the best number is taken."""
    out: str = "benchmarks/results/scene_context.json"
    """Record to write."""


@dataclass(frozen=True)
class Model:
    """Answers of a model: probabilities of what was not seen, and surprises."""

    predict: Predict
    surprise: Surprise


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    parts = {name: _present(Path(arguments.folder), name) for name in ("train", "val", "test")}
    share = parts["train"].mean(0)
    told = (share > 0) & (share < 1)
    scenes = {name: (2 * units[:, told] - 1).unsqueeze(1) for name, units in parts.items()}
    rows = [{"model": "shares", **_scored([_by_shares(scenes["train"])] * arguments.seeds, scenes["test"])}]
    with progress("scene_context", len(KINDS) * arguments.seeds) as advance:
        for name, make in KINDS.items():
            models = []
            for seed in range(arguments.seeds):
                models.append(_learned(make, scenes, seed, arguments.steps))
                advance(name)
            rows.append({"model": name, **_scored(models, scenes["test"])})
    record = {
        "schema": files.SCHEMA,
        "what": "log loss of units that are not seen, and how often a changed unit is the most surprising",
        "units": int(told.sum()),
        "images": {name: len(units) for name, units in parts.items()},
        "seeds": arguments.seeds,
        "rows": rows,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(Path(arguments.out), record)
    console.print(f"written: {arguments.out}")


def _present(folder: Path, name: str) -> Tensor:
    """Whether each class is in each part of each image, 0 or 1, `(I, parts * classes)`."""
    labels = read_part(folder, name, classes=len(CLASSES), void=VOID, size=SIZE).labels.long()
    one = functional.one_hot(labels.clamp(max=len(CLASSES)), len(CLASSES) + 1)[..., :-1].permute(0, 3, 1, 2)
    share = functional.adaptive_avg_pool2d(one.float(), PARTS)
    return (share >= PRESENT).float().flatten(1)


def _hopfield(units: int) -> Head:
    return HopfieldHead(Binary(units), _net(units, units))


def _rbm(units: int) -> Head:
    return RBMHead(Binary(units), _net(units, units + HIDDEN), hidden=HIDDEN)


def _belief(units: int) -> Head:
    return BeliefHead(Binary(units), _net(units, BeliefHead.width(units, LAYERS)), layers=LAYERS)


KINDS: dict[str, Callable[[int], Head]] = {"hopfield": _hopfield, "rbm": _rbm, "belief": _belief}


def _net(units: int, channels: int) -> ResidualMLP:
    """Biases, which no context changes."""
    return ResidualMLP(horizon=1, channels_in=units, channels_out=channels, context=0, width=16, depth=1)


def _learned(make: Callable[[int], Head], scenes: dict[str, Tensor], seed: int, steps: int) -> Model:
    """A model after the number of steps that is best on val."""
    torch.manual_seed(seed)
    train = scenes["train"]
    head = make(train.shape[-1])
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    best, kept = float("inf"), {}
    for step in range(1, steps + 1):
        stream = draws.generator(seed, step)
        batch = train[(draws.uniform((ROWS,), generator=stream, like=train) * len(train)).long()]
        optimizer.zero_grad()
        head.loss(batch, _nothing(batch), generator=stream).mean().backward()
        optimizer.step()
        if step % EVERY == 0 or step == steps:
            loss = _half_seen(_of(head), scenes["val"], seed)
            if loss < best:
                best, kept = loss, {name: value.clone() for name, value in head.state_dict().items()}
    head.load_state_dict(kept)
    return _of(head)


def _of(head: Head) -> Model:
    assert isinstance(head, HopfieldHead | RBMHead | BeliefHead)

    def predict(x: Tensor, seen: Tensor) -> Tensor:
        return head.marginals(x, seen, _nothing(x), generator=draws.generator(0))

    @torch.no_grad()
    def surprise(x: Tensor) -> Tensor:
        if isinstance(head, BeliefHead):
            return head.surprise(x, _nothing(x), generator=draws.generator(0))
        return head.surprise(x, _nothing(x))

    return Model(predict, surprise)


def _by_shares(train: Tensor) -> Model:
    """What to expect of each unit by how often it is on; one image more of each kind, so that nothing is impossible."""
    on = ((train > 0).sum(0) + 1) / (len(train) + 2)

    def surprise(x: Tensor) -> Tensor:
        return -torch.where(x > 0, on, 1 - on).log()

    return Model(lambda x, seen: on.expand_as(x), surprise)


def _nothing(x: Tensor) -> Tensor:
    return x.new_zeros(len(x), 0)


def _scored(models: list[Model], test: Tensor) -> dict[str, list[float]]:
    """Scores by seed."""
    return {
        "half_seen": [_half_seen(model, test, seed) for seed, model in enumerate(models)],
        "out_of_place": [_found(model, test, seed, on=True) for seed, model in enumerate(models)],
        "missing": [_found(model, test, seed, on=False) for seed, model in enumerate(models)],
    }


def _half_seen(model: Model, x: Tensor, seed: int) -> float:
    """Log loss of the units that are not seen, nat a unit."""
    seen = draws.uniform(x.shape, generator=draws.generator(seed, 1), like=x) < 0.5
    on = model.predict(x, seen).clamp(1e-3, 1 - 1e-3)
    loss = -torch.where(x > 0, on, 1 - on).log()
    return float(loss[~seen].mean())


def _found(model: Model, x: Tensor, seed: int, *, on: bool) -> float:
    """The share of images in which the unit that was turned is the most surprising."""
    u = draws.uniform(x.shape, generator=draws.generator(seed, 2), like=x)
    unit = torch.where((x > 0) != on, u, -1.0).flatten(1).argmax(1)
    rows = torch.arange(len(x))
    changed = x.clone()
    changed[rows, 0, unit] *= -1
    return float((model.surprise(changed).flatten(1).argmax(1) == unit).float().mean())


if __name__ == "__main__":
    main()
