"""Means over seeds of scores of label maps, with bootstrap intervals over images, and paired differences of arms.

Test images are frames of videos, one a second, and a frame resembles those before it: resamples are made of blocks of
successive frames, drawn within each video, of a tenth of its length. For the videos of CamVid's test part, 62 and 171
frames, these are 6 and 17. The rule of Politis and White 2004 gives 5 and 12 for the share that a class has of a frame
in the truth, medians over classes; shorter blocks would make intervals too narrow, and of longer ones there would be
too few. Intervals are still a little narrow, and about these drives: what other streets would change they do not say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np

from embodied_gen.statistics import block_resamples, scores_of
from embodied_gen.training import files

MEASURES = ("mean_iou", "accuracy", "class_accuracy", "boundary")
RESAMPLES = 2000
BLOCK = 0.1  # of a video


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


def videos(names: Sequence[str]) -> list[int]:
    """Frames of each video, of which the name of a frame says what stands before the last underscore."""
    return [len(list(frames)) for _, frames in groupby(names, lambda name: name.rpartition("_")[0])]


def summary(answers: Mapping[str, Sequence[Answer]], lengths: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each arm; the first arm is what the others are compared with, on the same images and seeds.

    Args:
        answers: Of each arm, a seed each.
        lengths: Frames of each video, one after the other.
    """
    first = next(iter(answers))
    means = {arm: _means(given, None) for arm, given in answers.items()}
    resampled = {arm: _resampled(given, lengths) for arm, given in answers.items()}
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


def difference(ours: Sequence[Answer], theirs: Sequence[Answer], lengths: Sequence[int]) -> dict[str, dict[str, Any]]:
    """By how much one arm scores more than another on the same images and seeds, with intervals, by measure."""
    mean, spread = _means(ours, None) - _means(theirs, None), _resampled(ours, lengths) - _resampled(theirs, lengths)
    return {
        name: {"difference": float(mean[place]), "difference_interval": _interval(spread[:, place])}
        for place, name in enumerate(MEASURES)
    }


def _resampled(answers: Sequence[Answer], lengths: Sequence[int]) -> np.ndarray:
    """Means over seeds of the same resamples of images for all arms, `(RESAMPLES, measures)`."""
    drawn = block_resamples(lengths, rng=np.random.default_rng(0), share=BLOCK, resamples=RESAMPLES)
    return np.array([_means(answers, chosen) for chosen in drawn])


def _means(answers: Sequence[Answer], chosen: np.ndarray | None) -> np.ndarray:
    return np.mean([list(answer.scores(chosen).values()) for answer in answers], axis=0)


def _interval(values: np.ndarray) -> list[float]:
    return np.quantile(values, [0.025, 0.975]).tolist()
