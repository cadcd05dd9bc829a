"""Means over seeds of scores of label maps, with bootstrap intervals over images, and paired differences of arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from embodied_gen.statistics import scores_of
from embodied_gen.training import files

MEASURES = ("mean_iou", "accuracy", "class_accuracy", "boundary")
RESAMPLES = 2000


@dataclass(frozen=True)
class Answer:
    """What an arm answered, image by image.

    Attributes:
        confusions: `(N, K, K)`.
        boundary: Boundary F1, `(N,)`.
    """

    confusions: np.ndarray
    boundary: np.ndarray

    @classmethod
    def read(cls, path: Path) -> Self:
        """The answer in a file."""
        tensors, _ = files.read_tensors(path)
        return cls(tensors["confusions"].numpy(), tensors["boundary"].numpy())

    def scores(self, chosen: np.ndarray | None = None) -> dict[str, float]:
        """Scores of images of given numbers, which may occur several times; all images where None."""
        chosen = np.arange(len(self.boundary)) if chosen is None else chosen
        found = scores_of(self.confusions[chosen], self.boundary[chosen])
        return {name: float(getattr(found, name)) for name in MEASURES}


def summary(answers: Mapping[str, Sequence[Answer]]) -> list[dict[str, Any]]:
    """A row for each arm; the first arm is what the others are compared with, on the same images and seeds."""
    first = next(iter(answers))
    means = {arm: _means(given, None) for arm, given in answers.items()}
    resampled = {arm: _resampled(given) for arm, given in answers.items()}
    rows = []
    for arm, given in answers.items():
        row: dict[str, Any] = {"arm": arm, "seeds": len(given)}
        for place, name in enumerate(MEASURES):
            spread, beside = resampled[arm][:, place], (resampled[arm] - resampled[first])[:, place]
            row[name] = {
                "mean": means[arm][place],
                "interval": _interval(spread),
                "difference": means[arm][place] - means[first][place],
                "difference_interval": _interval(beside),
            }
        rows.append(row)
    return rows


def difference(ours: Sequence[Answer], theirs: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """By how much one arm scores more than another on the same images and seeds, with intervals, by measure."""
    mean, spread = _means(ours, None) - _means(theirs, None), _resampled(ours) - _resampled(theirs)
    return {
        name: {"difference": float(mean[place]), "difference_interval": _interval(spread[:, place])}
        for place, name in enumerate(MEASURES)
    }


def _resampled(answers: Sequence[Answer]) -> np.ndarray:
    """Means over seeds of the same resamples of images for all arms, `(RESAMPLES, measures)`."""
    generator, images = np.random.default_rng(0), len(answers[0].boundary)
    drawn = [generator.integers(images, size=images) for _ in range(RESAMPLES)]
    return np.array([_means(answers, chosen) for chosen in drawn])


def _means(answers: Sequence[Answer], chosen: np.ndarray | None) -> np.ndarray:
    return np.mean([list(answer.scores(chosen).values()) for answer in answers], axis=0)


def _interval(values: np.ndarray) -> list[float]:
    return np.quantile(values, [0.025, 0.975]).tolist()
