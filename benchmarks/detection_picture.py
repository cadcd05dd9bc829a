"""The picture of a benchmark of detectors: test images with the true boxes and with those that detectors find."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from boxed_pictures import boxed, titled
from PIL import Image

from embodied_gen import detection, draws
from embodied_gen.boxes import corners
from embodied_gen.demos.boxed_images import BoxedImages
from embodied_gen.predictor import Predictor

PICTURED, LIKELY = (0, 1), 0.4  # test images, and the score of what is drawn into them


def picture(runs: Mapping[str, Path], examples: BoxedImages, classes: tuple[str, ...], target: Path) -> None:
    """Writes a column for the truth and one for each detector, a run by its name."""
    panels = {"true boxes": [_panel(examples, image, examples.values()[image], classes) for image in PICTURED]}
    for name, run in runs.items():
        predictor = detection.load(run).predictor
        panels[name] = [_panel(examples, image, _rows(predictor, examples, image), classes) for image in PICTURED]
    columns = [np.concatenate([titled(panel, name) for panel in own]) for name, own in panels.items()]
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(columns, axis=1)).save(target, optimize=True)


def _rows(predictor: Predictor, examples: BoxedImages, image: int) -> torch.Tensor:
    seen = examples.batch(torch.tensor([image])).observations
    with torch.no_grad():
        return predictor.predict(seen, generator=draws.generator(0, image))[0]


def _panel(examples: BoxedImages, image: int, rows: torch.Tensor, classes: tuple[str, ...]) -> np.ndarray:
    """An image, twice as large, with what has a score."""
    seen = examples.batch(torch.tensor([image])).observations[0].permute(1, 2, 0)
    large = seen.repeat_interleave(2, 0).repeat_interleave(2, 1).contiguous().numpy()
    some = rows[rows[:, 5] > LIKELY]
    sides = torch.tensor(large.shape[1::-1]).repeat(2)
    return boxed(large, (corners(some[:, :4]) * sides).numpy(), [classes[int(label)] for label in some[:, 4]])
