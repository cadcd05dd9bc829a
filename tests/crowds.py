"""Pedestrians made up for tests, and small forecasters of them."""

import torch

from embodied_gen import draws, experiment
from embodied_gen.forecasting.forecaster import Observed
from embodied_gen.forecasting.tracks import Tracks, on_grid
from embodied_gen.forecasting.windows import OBSERVED, SOCIAL_GAN, windows_of

NEIGHBOURS = 2
"""Whom the small forecasters see."""


def recording(spans, *, step=10, frames=None, seed=0):
    """Tracks of pedestrians who are there at columns first .. last - 1 of given frames; crooked walks."""
    last = max(end for _, end in spans)
    numbers = torch.arange(last) * step if frames is None else torch.tensor(frames)
    rows = [(int(numbers[column]), person) for person, span in enumerate(spans, 1) for column in range(*span)]
    noise = draws.normal((len(rows), 2), generator=draws.generator(seed), like=torch.zeros(1, dtype=torch.float64))
    at = torch.tensor([(0.04 * frame, 2.0 * person) for frame, person in rows], dtype=torch.float64) + 0.1 * noise
    frame, person = torch.tensor(rows).unbind(1)
    return on_grid(frame, person, at, step=step, source="made up")


def crowd(agents=4, frames=30, seed=0) -> Tracks:
    """Everybody is there all the time."""
    return recording([(0, frames)] * agents, seed=seed)


def observed(scenes=3, agents=4, seed=0) -> Observed:
    """Crooked walks; the last pedestrian of the second scene is not there."""
    stream = draws.generator(seed)
    like = torch.zeros(1, dtype=torch.float64)
    steps = 0.4 + 0.2 * draws.normal((scenes, agents, OBSERVED, 2), generator=stream, like=like)
    start = 3 * draws.normal((scenes, agents, 1, 2), generator=stream, like=like)
    present = torch.ones(scenes, agents, dtype=torch.bool)
    present[1:2, -1] = False
    return Observed(start + steps.cumsum(2), present)


def predictor_of(path):
    """That of `learned_of`."""
    return learned_of(path)[0]


def learned_of(path):
    """A small predictor whose weights have moved from where they start, as after training, and its control."""
    config = experiment.read(path)
    smaller = {"neighbours": NEIGHBOURS} | ({"width": 8} if "width" in type(config.control).model_fields else {})
    control = config.control.model_copy(update=smaller)
    net = config.net.model_copy(update={"width": 16, "depth": 1})
    config = config.model_copy(update={"control": control, "net": net})
    examples = control.varied(windows_of([crowd(4, 40)], SOCIAL_GAN), config.data)
    predictor = experiment.build(config, examples).double().eval()
    stream = draws.generator(7)
    with torch.no_grad():
        for weight in predictor.parameters():
            weight += 0.1 * draws.normal(weight.shape, generator=stream, like=weight)
    return predictor, control
