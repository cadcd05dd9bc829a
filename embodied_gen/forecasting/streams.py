"""Streams of pedestrians: randomness that neither the order of pedestrians nor other scenes change.

Every pedestrian has a stream of its own, a function of its scene's and of its rank among those who are there, by where
they are.
"""

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.draws import Generator
from embodied_gen.forecasting.forecaster import Observed


def streams_of(observed: Observed, generator: Generator) -> list[torch.Generator]:
    """A stream for every pedestrian, scene by scene, `B A` in all.

    Args:
        observed: B scenes.
        generator: One, or one for each scene.
    """
    agents = observed.present.shape[1]
    found = [draws.split(stream, agents) for stream in streams_of_scenes(observed, generator)]
    return [found[scene][rank] for scene, ranks in enumerate(ranks_of(observed).tolist()) for rank in ranks]


def noise_of(observed: Observed, n: int, numbers: int, generator: Generator) -> Tensor:
    """Independent N(0, 1) numbers of every pedestrian for n draws, from its own stream, `(B, n, A, numbers)`."""
    streams = streams_of(observed, generator)
    noise = draws.normal((len(streams), n, numbers), generator=streams, like=observed.tracks)
    return noise.unflatten(0, observed.present.shape).transpose(1, 2)


def streams_of_scenes(observed: Observed, generator: Generator) -> list[torch.Generator]:
    """A stream for each of B scenes, of one generator or of as many."""
    if isinstance(generator, torch.Generator):
        return draws.split(generator, len(observed.present))
    return list(generator)


def ranks_of(observed: Observed) -> Tensor:
    """Places of pedestrians in the order of their positions, those who are not there last, int64, `(B, A)`."""
    order = torch.arange(observed.present.shape[1], device=observed.tracks.device).expand(observed.present.shape)
    for key in (observed.last[..., 1], observed.last[..., 0], (~observed.present).to(observed.last)):
        order = order.gather(1, key.gather(1, order).argsort(dim=1, stable=True))
    return order.argsort(1)
