"""Picks on Tabletop-v0 by the boxes of a detector, beside picks by true boxes.

    python benchmarks/tabletop_detected.py RUN [--episodes 200] [--draws 8]

RUN is a detector that draws boxes from noise, trained on Tabletop images. The ways to aim know the asked class, and

    true box                       the true boxes: the middle of the largest one of the class
    predicted box                  detections: the middle of the likeliest one of the class
    predicted box, N draws merged  the same of the detections in N draws, which are merged to one set
    drawn boxes                    of each of the likeliest detections of the class, its box in N draws: the place that
                                   is safest over them, on the detection where a pick is likeliest to succeed
                                   (planners.BoxGrasp)
    posterior boxes                the same of the boxes that residuals give, which are as far apart as true ones may be

and take the next one at another attempt, on the new picture. The third computes as much as the last ones, and knows
nothing of the spread. Residuals are learned from the test part of the detector's images, which neither the training nor
the episodes have. All have the same seeds; differences are paired. How the boxes spread, and how often they hold the
truth, is measured on the first pictures of the episodes. Writes benchmarks/results/tabletop_detected.json.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import gymnasium as gym
import numpy as np
import torch
import tyro
from picks import FIRST_SEED, Aim, difference, picked, row
from tabletop import WAYS, middle

import envs  # noqa: F401 - registers the environments
from embodied_gen import detection, draws, provenance
from embodied_gen.boxes import corners, followed
from embodied_gen.commands.console import console, progress
from embodied_gen.commands.offscreen import prefer_egl
from embodied_gen.demos.boxed_images import BoxedImages, values_of
from embodied_gen.detection import spreads
from embodied_gen.detection.experiment import check_images
from embodied_gen.training import files
from envs.tabletop_view import View
from planners import BoxGrasp


@dataclass
class Arguments:
    """Picks on Tabletop-v0 by the boxes of a detector."""

    run: tyro.conf.Positional[str]
    """Folder of a detector's run."""
    episodes: int = 200
    """Of each way to aim."""
    draws: int = 8
    """Of each picture."""
    steps: int = 4
    """Of the sampler of those draws."""
    candidates: int = 4
    """Detections of the asked class that are followed over draws."""
    images: int = 200
    """Images that residuals are learned from."""
    out: str = "benchmarks/results/tabletop_detected.json"
    """Record to write."""


@final
class Detector:
    """Aims by what a detector sees."""

    def __init__(self, arguments: Arguments):
        self.run = detection.load(Path(arguments.run))
        self.arguments = arguments
        self.drawing = detection.drawing(self.run.predictor, steps=arguments.steps)
        apart, classes = self.run.detection.data.testing()
        check_images(self.run.images, apart, classes)
        self.residuals = detection.residuals(
            self.run.predictor, apart, count=arguments.draws, steps=arguments.steps, images=arguments.images
        )

    def box(self, view: View, target: int, attempt: int, generator: np.random.Generator) -> np.ndarray:
        """The middle of the likeliest detection of a class, then of the next."""
        rows = self._found(_seen(view), target, generator)
        return rows[attempt % len(rows), :2].clamp(0, 1).numpy()

    def merged(self, view: View, target: int, attempt: int, generator: np.random.Generator) -> np.ndarray:
        """As `box`, of the detections in several draws that are merged to one set."""
        sets = self.drawing.predict(_seen(view), self.arguments.draws, generator=_stream(generator))
        rows = _asked(sets[0], target)
        return rows[attempt % len(rows), :2].clamp(0, 1).numpy()

    def drawn(self, view: View, target: int, attempt: int, generator: np.random.Generator) -> np.ndarray:
        """The safest place of the detection of a class on which a pick is likeliest to succeed, then of the next."""
        rows, boxes, found = self._followed(view, target, generator)
        return self._safest(view, rows, boxes, found, attempt)

    def posterior(self, view: View, target: int, attempt: int, generator: np.random.Generator) -> np.ndarray:
        """As `drawn`, of the boxes that residuals give."""
        rows, boxes, found = self._followed(view, target, generator)
        boxes = self.residuals.drawn(boxes, found, generator=_stream(generator))
        return self._safest(view, rows, boxes, found, attempt)

    def _followed(
        self, view: View, target: int, generator: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The likeliest detections of a class, their boxes in draws, and which draws have them."""
        image, arguments = _seen(view), self.arguments
        rows = self._found(image, target, generator)[: arguments.candidates]
        sets = self.drawing.sample(image, arguments.draws, generator=_stream(generator))
        boxes, found = followed(sets, rows[None, :, :4], rows[None, :, 4].long())
        return rows, boxes[0], found[0]

    def _safest(
        self, view: View, rows: torch.Tensor, boxes: torch.Tensor, found: torch.Tensor, attempt: int
    ) -> np.ndarray:
        pixels = corners(boxes) * torch.tensor(view.camera.size).repeat(2)
        weights = found.float() * (boxes[..., 2:] > 0).all(-1)
        places = BoxGrasp(view.camera.size).ranked(pixels, weights).at.clamp(0, 1)
        places = places if len(places) else rows[:, :2].clamp(0, 1)
        return places[attempt % len(places)].numpy()

    def _found(self, image: torch.Tensor, target: int, generator: np.random.Generator) -> torch.Tensor:
        """Detections of a class, of any class where there is none; the likeliest first."""
        return _asked(self.run.predictor.predict(image, generator=_stream(generator))[0], target)


def _asked(rows: torch.Tensor, target: int) -> torch.Tensor:
    """Rows of a class, all where there is none."""
    asked = rows[(rows[:, 4] == target) & (rows[:, 5] > 0)]
    return asked if len(asked) else rows


def _seen(view: View) -> torch.Tensor:
    return torch.from_numpy(view.rgb.copy()).permute(2, 0, 1)[None]


def _stream(generator: np.random.Generator) -> torch.Generator:
    return draws.generator(int(generator.integers(2**31)))


@torch.no_grad()
def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    prefer_egl()
    torch.set_num_threads(1)
    detector = Detector(arguments)
    ways: dict[str, Aim] = {
        "true box": middle(WAYS["true box"]),
        "predicted box": detector.box,
        _merged(arguments): detector.merged,
        "drawn boxes": detector.drawn,
        "posterior boxes": detector.posterior,
    }
    env, outcomes = gym.make("embodied/Tabletop-v0"), {}
    with progress("pick", len(ways) * arguments.episodes) as advance:
        for name, aim in ways.items():
            outcomes[name] = []
            for seed in range(FIRST_SEED, FIRST_SEED + arguments.episodes):
                outcomes[name].append(picked(aim, env, seed))
                advance(name)
    pictures = _first_pictures(env, min(arguments.episodes, spreads.IMAGES))
    env.close()
    found = detection.spread(detector.run.predictor, pictures, steps=arguments.steps)
    record = _record(arguments, detector, outcomes, {} if found is None else asdict(found))
    files.write_json(Path(arguments.out), record)
    console.print(f"written: {arguments.out}")


def _merged(arguments: Arguments) -> str:
    return f"predicted box, {arguments.draws} draws merged"


def _first_pictures(env: gym.Env, episodes: int) -> BoxedImages:
    """What is seen at the beginning of some episodes, with the true boxes."""
    bare: Any = env.unwrapped
    views: list[View] = []
    for seed in range(FIRST_SEED, FIRST_SEED + episodes):
        env.reset(seed=seed)
        views.append(bare.view())
    counts = torch.tensor([len(view.labels) for view in views])
    boxes, labels = torch.zeros(episodes, int(counts.max()), 4), torch.zeros(episodes, int(counts.max()))
    for place, view in enumerate(views):
        boxes[place, : len(view.labels)] = torch.from_numpy(view.boxes)
        labels[place, : len(view.labels)] = torch.from_numpy(view.labels)
    columns, rows = views[0].camera.size
    images = torch.cat([_seen(view) for view in views])
    return BoxedImages(images, values_of(boxes, labels, counts, rows=rows, columns=columns), source="first pictures")


def _record(
    arguments: Arguments, detector: Detector, outcomes: dict[str, list[tuple[bool, int]]], spread: dict[str, Any]
) -> dict[str, Any]:
    pairs = (
        ("predicted box", "true box"),
        ("posterior boxes", "true box"),
        ("posterior boxes", "predicted box"),
        ("posterior boxes", _merged(arguments)),
        ("posterior boxes", "drawn boxes"),
    )
    return {
        "schema": files.SCHEMA,
        "what": "success of picks, with attempts an episode",
        "detector": {"name": detector.run.detection.name, "step": detector.run.step},
        "draws": arguments.draws,
        "steps": arguments.steps,
        "spread": {"draws": spreads.DRAWS, **spread},
        "episodes": arguments.episodes,
        "seeds": {"first": FIRST_SEED, "count": arguments.episodes},
        "rows": [row(name, found) for name, found in outcomes.items()],
        "differences": [
            {"ours": ours, "theirs": theirs} | difference(outcomes[ours], outcomes[theirs]) for ours, theirs in pairs
        ],
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }


if __name__ == "__main__":
    main()
