"""Answers: what is scored of a learned forecaster, each with how many draws.

    answer            of a head without chance, one
    draws             n draws
    representatives   n means of clusters of 10 n other draws (`representatives`), which are no draws themselves
    joint draws       n scenes put together of the same 10 n draws, in which nobody walks into anybody (`joint`)

Whoever is asked first of the last two draws for both.
"""

import hashlib
from typing import final

from torch import Tensor

from embodied_gen.draws import Generator
from embodied_gen.forecasting.forecaster import Forecaster, Observed
from embodied_gen.forecasting.joint import JointForecaster
from embodied_gen.forecasting.learned import AgentForecaster, DenseForecaster
from embodied_gen.forecasting.representatives import Representatives
from embodied_gen.heads import AutoregressiveHead, FlowHead, Head, MixtureHead, PointHead
from embodied_gen.predictor import Predictor

EXACT = (MixtureHead, FlowHead, AutoregressiveHead)
"""Heads whose density is known; of the others a `log_prob` is a bound, or not of what is drawn."""


def forecaster_of(predictor: Predictor, *, neighbours: int) -> Forecaster:
    """What draws pedestrians on their own, with its density where that is known.

    Args:
        predictor: Of what `AgentExamples` hold.
        neighbours: K, of those examples.
    """
    make = DenseForecaster if isinstance(predictor.head, EXACT) else AgentForecaster
    return make(predictor, neighbours=neighbours)


def forecasters(drawn: Forecaster, head: Head, *, n: int) -> dict[str, tuple[Forecaster, int]]:
    """What is scored of a learned forecaster, by name, with how many draws; see the module.

    Draws are kept as long as the forecasters: make them anew for other windows.

    Args:
        drawn: Draws by the head.
        head: Whether there is chance in it is looked at.
        n: Draws of a head with chance, >= 1.
    """
    if isinstance(head, PointHead) and head.temperature == 0:
        return {"answer": (drawn, 1)}
    many = Remembered(drawn)
    return {
        "draws": (drawn, n),
        "representatives": (Representatives(many), n),
        "joint draws": (JointForecaster(many), n),
    }


@final
class Remembered:
    """A forecaster that draws once for the same scenes, and then answers with those draws whatever the generator."""

    def __init__(self, forecaster: Forecaster):
        self._forecaster = forecaster
        self._drawn: dict[tuple[bytes, int], Tensor] = {}

    def forecast(self, observed: Observed, n: int, *, generator: Generator) -> Tensor:
        """N futures of every scene, shape `(B, n, A, 12, 2)`."""
        key = _digest(observed), n
        if key not in self._drawn:
            self._drawn[key] = self._forecaster.forecast(observed, n, generator=generator)
        return self._drawn[key]


def _digest(observed: Observed) -> bytes:
    """Hash of all that is observed."""
    found = hashlib.sha256()
    for part in (observed.tracks, observed.present, observed.walls):
        if part is not None:
            found.update(repr(tuple(part.shape)).encode())
            found.update(part.cpu().numpy().tobytes())
    return found.digest()
