"""Networks that return another shape than their event are named, by whatever they are asked for."""

import pytest
import torch
from torch import nn

from embodied_gen.heads import (
    AdversarialHead,
    AverageVelocityHead,
    DenoisingHead,
    RegressionHead,
    TwoStepHead,
)
from embodied_gen.heads.stages import estimates
from tests.heads.batches import CHANNELS, batch, trajectory
from tests.heads.networks import mlp

NARROW = {
    "regression": lambda: RegressionHead(trajectory(), mlp(1)),
    "two_step": lambda: TwoStepHead(trajectory(), mlp(1)),
    "denoising": lambda: DenoisingHead(trajectory(), mlp(1)),
    "dropped contexts": lambda: DenoisingHead(trajectory(), mlp(1), dropout=0.1, guidance_weight=1.0),
    "average_velocity": lambda: AverageVelocityHead(trajectory(), mlp(1, CHANNELS + 1)),
    "adversarial": lambda: AdversarialHead(trajectory(), mlp(1), mlp(1), latent=3),
}


@pytest.mark.parametrize("name", NARROW)
def test_networks_of_one_channel_are_named(name, generator):
    head, (x, c) = NARROW[name](), batch()
    asked = [lambda: head.loss(x, c, generator=generator), lambda: head.sample(c, generator=generator)]
    if hasattr(head, "log_prob"):
        asked.append(lambda: head.log_prob(x, c))
    for ask in asked:
        with pytest.raises(ValueError, match=r"must return shape \(5, 4, 2\); got \(5, 4, 1\).*as the event has"):
            ask()


class OneChannel(nn.Module):
    def stages(self, x, t, c):
        return torch.stack([x, x])[..., :1]


def test_stages_of_one_channel_are_named():
    x, c = batch()
    with pytest.raises(ValueError, match=r"must return shape \(2, 5, 4, 2\); got \(2, 5, 4, 1\)"):
        estimates(OneChannel(), x, torch.zeros(5), c)


def test_what_a_network_says_has_the_dtype_of_its_input():
    x, c = batch()
    said = estimates(lambda x, t, c: x.double(), x, torch.zeros(5), c)
    assert torch.equal(said, x.unsqueeze(0)) and said.dtype == x.dtype
