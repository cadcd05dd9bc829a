"""A public check of forecasters, for ours and for yours.

`check_forecaster` states the laws that keep scores honest: a forecast is a function of what is observed and of the
generator, it does not see who is not there, a scene does not depend on the scenes beside it, and the order of its
pedestrians means nothing. That nothing of the future is seen follows, as nothing of it is given; where observations are
cut out of windows, `check_no_leak` states it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.forecasting.forecaster import Forecaster, Observed
from embodied_gen.forecasting.windows import OBSERVED, PREDICTED

_DRAWS = 64
_SIGMAS = 6.0
_FAR = 30.0  # [m]


def check_forecaster(forecaster: Forecaster, observed: Observed, *, seed: int = 0) -> None:
    """Checks the laws on some scenes.

    Args:
        forecaster: Any.
        observed: Two scenes or more of two pedestrians or more, somebody absent in one of them.
        seed: Of every draw.

    Raises:
        AssertionError: With a sentence that names the law that is broken.
    """
    before = torch.get_rng_state()
    for law in (_shapes, _functions_of_the_generator, _no_neighbours, _no_absent, _no_order):
        law(forecaster, observed, seed)
    _require(torch.equal(before, torch.get_rng_state()), "the global random state must not be touched")


def check_no_leak(features: Callable[[Tensor], Tensor], tracks: Tensor) -> None:
    """Checks that features of windows do not move when the future does.

    In one future frame after the other every track is moved by an offset of its own, so that what lies between tracks
    changes too, such as who will be next to whom: each to where the one before it is, all to one place, and each far
    away by a draw that is a function of the frame.

    Args:
        features: Of tracks of windows [m], shape `(N, 20, 2)`, any shape.
        tracks: Some such tracks, of several pedestrians who are there together.

    Raises:
        AssertionError: Naming the first future frame that moves a feature.
    """
    here = features(tracks)
    for frame in range(OBSERVED, OBSERVED + PREDICTED):
        for moved in _moved(tracks[:, frame], draws.generator(frame)):
            other = tracks.clone()
            other[:, frame] = moved
            if not torch.equal(features(other), here):
                raise AssertionError(f"check_no_leak: a feature moves with frame {frame}, which is to be predicted.")


def _moved(at: Tensor, stream: torch.Generator) -> tuple[Tensor, ...]:
    """Other places for tracks at one frame: of each other, all the same, and far apart; `(N, 2)` each."""
    return at.roll(1, 0), at[:1].expand(at.shape), at + _FAR * draws.normal(at.shape, generator=stream, like=at)


def _require(condition: bool, law: str) -> None:
    if not condition:
        raise AssertionError(f"check_forecaster: {law}.")


def _drawn(forecaster: Forecaster, observed: Observed, seed: int) -> Tensor:
    streams = [draws.generator(seed, scene) for scene in range(len(observed.tracks))]
    return forecaster.forecast(observed, _DRAWS, generator=streams)


def _shapes(forecaster: Forecaster, observed: Observed, seed: int) -> None:
    drawn, (scenes, agents) = _drawn(forecaster, observed, seed), observed.present.shape
    shape = (scenes, _DRAWS, agents, PREDICTED, 2)
    _require(tuple(drawn.shape) == shape, f"a forecast must have shape {shape}, got {tuple(drawn.shape)}")
    _require(bool(drawn.isfinite().all()), "a forecast must be finite")


def _functions_of_the_generator(forecaster: Forecaster, observed: Observed, seed: int) -> None:
    first, again = (_drawn(forecaster, observed, seed) for _ in range(2))
    _require(torch.equal(first, again), "the same generator state must give the same forecast")


def _no_neighbours(forecaster: Forecaster, observed: Observed, seed: int) -> None:
    alone = Observed(observed.tracks[:1], observed.present[:1], None if observed.walls is None else observed.walls[:1])
    close = torch.allclose(_drawn(forecaster, alone, seed)[0], _drawn(forecaster, observed, seed)[0], atol=1e-4)
    _require(close, "a scene must not depend on the scenes beside it")


def _no_absent(forecaster: Forecaster, observed: Observed, seed: int) -> None:
    moved = torch.where(observed.present[..., None, None], observed.tracks, observed.tracks + 3.0)
    other = _drawn(forecaster, Observed(moved, observed.present, observed.walls), seed)
    here = observed.present[:, None, :, None, None]
    same = torch.allclose((other * here), _drawn(forecaster, observed, seed) * here, atol=1e-4)
    _require(same, "who is not there must not be seen")


def _no_order(forecaster: Forecaster, observed: Observed, seed: int) -> None:
    """In law: means over draws differ by what chance explains, and not at all where there is no chance."""
    order = torch.arange(observed.tracks.shape[1] - 1, -1, -1)
    turned = Observed(observed.tracks[:, order], observed.present[:, order], observed.walls)
    one, other = _drawn(forecaster, observed, seed), _drawn(forecaster, turned, seed + 1)[:, :, order]
    apart = (one.mean(1) - other.mean(1)).abs()
    chance = ((one.var(1) + other.var(1)) / _DRAWS).sqrt()
    here = observed.present[:, :, None, None]
    _require(bool((apart * here <= _SIGMAS * chance + 1e-4).all()), "the order of pedestrians must not matter")
