import pytest
import torch

from embodied_gen.nets.time import FourierFeatures, TimeEmbedding


def test_features_are_bounded_and_start_at_sine_zero_and_cosine_one():
    features = FourierFeatures(width=8).double()
    f = features(torch.linspace(0, 1, 101, dtype=torch.float64))
    assert f.shape == (101, 8)
    assert f.abs().max() <= 1
    torch.testing.assert_close(f[0], torch.tensor([0.0] * 4 + [1.0] * 4, dtype=torch.float64))


def test_features_are_the_sinusoids_of_a_chain_of_1000_steps():
    features = FourierFeatures(width=64).double()
    t = torch.linspace(0, 1, 17, dtype=torch.float64)
    frequencies = 1000 * 10_000 ** (-torch.arange(32, dtype=torch.float64) / 31)
    phases = t[:, None] * frequencies
    expected = torch.cat([phases.sin(), phases.cos()], dim=-1)
    torch.testing.assert_close(features(t), expected, atol=1e-3, rtol=0)


def test_times_a_thousandth_apart_are_told_apart():
    f = FourierFeatures()(torch.linspace(0, 1, 1001))
    neighbours = (f[1:] - f[:-1]).norm(dim=-1)
    assert neighbours.min() > 0.5
    distances = torch.cdist(f, f) + 10 * torch.eye(1001)
    assert distances.min() > 0.5


def test_features_have_no_parameters():
    assert not list(FourierFeatures().parameters())


@pytest.mark.parametrize("width", [0, 2, 7])
def test_odd_or_tiny_feature_counts_are_refused(width):
    with pytest.raises(ValueError, match="even and >= 4"):
        FourierFeatures(width=width)


def test_time_and_context_interact_in_the_embedding():
    embed = TimeEmbedding(width=16, context=3).double()
    generator = torch.Generator().manual_seed(0)
    c = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    early, late = torch.full((2,), 0.1).double(), torch.full((2,), 0.9).double()
    drift = embed(late, c) - embed(early, c)
    assert not torch.allclose(drift[0], drift[1])
