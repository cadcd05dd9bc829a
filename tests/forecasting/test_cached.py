"""What the forecasters' configs decode with a state is what they decode without one, to 1e-5, however long."""

from functools import partial
from pathlib import Path

import pytest
import torch

from embodied_gen import draws, experiment
from embodied_gen.events import Walk
from embodied_gen.heads.decoding import Uncached, unroll

CONFIGS = Path(__file__).parents[2] / "configs"
WIDTH = 8  # of a context


@pytest.mark.parametrize("steps", [12, 80])
@pytest.mark.parametrize("family", ["recurrent", "words"])
def test_walks_decoded_with_a_state_are_those_decoded_without(family, steps):
    config = experiment.read(CONFIGS / f"eth_ucy_{family}.yaml")
    event = Walk(steps, [-9.0, -9.0], [9.0, 9.0], [-1.0, -1.0], [1.0, 1.0])

    def make_net(channels_out, channels_in=2):
        return config.net.build((steps, channels_in), channels_out, WIDTH)

    g = draws.generator(0)
    head = config.head.build(event, make_net).eval()
    with torch.no_grad():
        for part in head.parameters():  # away from layers that start at zero, as after training
            part.add_(0.1 * draws.normal(part.shape, generator=g, like=part))
        conditions = head._conditions(draws.normal((6, WIDTH), generator=g, like=event.low))
        kept, again = (
            unroll(decoder, conditions, partial(draw, head.emission, draws.generator(1)))
            for decoder in (head.decoder, Uncached(head.decoder))
        )
    assert kept.std() > 0.1
    torch.testing.assert_close(kept, again, rtol=0, atol=1e-5)


def draw(emission, stream, output, position):
    value = emission.draw(output, generator=stream)
    return value, emission.embed(value)
