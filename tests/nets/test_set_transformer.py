"""A network over slots in no order."""

import pytest
import torch

from embodied_gen.nets import SetTransformer, Transformer

SIZES = {"horizon": 5, "channels_in": 3, "channels_out": 2, "context": 4, "width": 16, "depth": 2, "heads": 2}


def stirred(kind):
    net, stream = kind(**SIZES).double(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=stream, dtype=torch.float64))
    return net


@pytest.mark.parametrize(("kind", "commutes"), [(SetTransformer, True), (Transformer, False)])
def test_a_set_transformer_commutes_with_permutations_and_one_with_positions_does_not(kind, commutes):
    net, stream = stirred(kind), torch.Generator().manual_seed(2)
    x = torch.randn(6, 5, 3, generator=stream, dtype=torch.float64)
    t = torch.rand(6, generator=stream, dtype=torch.float64)
    c = torch.randn(6, 4, generator=stream, dtype=torch.float64)
    order = torch.randperm(5, generator=stream)
    assert torch.allclose(net(x[:, order], t, c), net(x, t, c)[:, order]) == commutes


def test_slots_see_one_another_and_the_context():
    net = stirred(SetTransformer)
    x, t, c = torch.zeros(1, 5, 3).double(), torch.zeros(1).double(), torch.zeros(1, 4).double()
    first = net(x, t, c)[:, 0]
    x[0, 3] = 1.0
    assert not torch.allclose(net(x, t, c)[:, 0], first)
    assert not torch.allclose(net(0 * x, t, c + 1)[:, 0], first)
