"""Attention over neighbours: whoever is near counts, in no order, and nobody else does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.nets import NeighbourAttention

HISTORY, NEIGHBOURS, RADIUS = 4, 3, 5.0


def encoder(neighbours=NEIGHBOURS):
    torch.manual_seed(0)
    return NeighbourAttention(history=HISTORY, neighbours=neighbours, radius=RADIUS, width=8, heads=2).double()


def seen(rows=6, neighbours=NEIGHBOURS, seed=0):
    """Tracks `(rows, 1 + K, H, 2)` that end within the radius."""
    like = torch.zeros((), dtype=torch.float64)
    tracks = draws.normal((rows, 1 + neighbours, HISTORY, 2), generator=draws.generator(seed), like=like)
    return 0.3 * tracks + torch.arange(1.0 + neighbours).double()[:, None, None]


def laid_out(tracks, there=None):
    there = torch.ones(tracks.shape[:2]).bool() if there is None else there
    flags = there[..., None, None].expand(*tracks.shape[:-1], 1).double()
    return torch.cat([tracks, flags], -1).transpose(1, 2).flatten(2)


@given(st.permutations(range(NEIGHBOURS)), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_order_of_neighbours_means_nothing(order, seed):
    tracks = seen(seed=seed)
    turned = tracks[:, [0, *(1 + place for place in order)]]
    torch.testing.assert_close(encoder()(laid_out(turned)), encoder()(laid_out(tracks)))


def test_everybody_near_is_seen_and_so_is_every_step_of_them():
    tracks = seen(rows=1).requires_grad_()
    (slope,) = torch.autograd.grad(encoder()(laid_out(tracks)).square().sum(), tracks)
    assert (slope.abs().sum(-1) > 0).all()


def test_who_is_not_there_or_beyond_the_radius_is_not_seen():
    tracks, there = seen(), torch.ones(6, 4).bool()
    there[:, 2] = False
    moved = tracks.clone()
    moved[:, 2] += 0.5
    torch.testing.assert_close(encoder()(laid_out(moved, there)), encoder()(laid_out(tracks, there)))
    far = tracks.clone()
    far[:, 2] += 2 * RADIUS
    torch.testing.assert_close(encoder()(laid_out(far)), encoder()(laid_out(tracks, there)))


def test_a_neighbour_is_noticed_little_by_little():
    away = torch.tensor([0.5, 0.999, 0.999999, 1.5]) * RADIUS
    tracks = torch.zeros(4, 2, HISTORY, 2).double()
    tracks[:, 1, :, 0] = away.double()[:, None]
    context = encoder(1)(laid_out(tracks))
    apart = (context - context[-1]).norm(dim=-1)
    assert apart[0] > 100 * apart[1] > 0 and apart[2] < 1e-6


def test_one_can_be_alone():
    lonely = encoder(0)(laid_out(seen(neighbours=0)))
    nobody = encoder()(laid_out(seen(), torch.tensor([True, False, False, False]).expand(6, 4)))
    assert lonely.shape == nobody.shape == (6, 16) and lonely.isfinite().all()
    assert (nobody[:, 8:] - nobody[:1, 8:]).abs().max() < 1e-12  # of the others there is nothing to say


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"history": 1}, "history must be >= 2 and neighbours >= 0; got 1 and 3"),
        ({"neighbours": -1}, "got 4 and -1"),
        ({"radius": 0.0}, "radius must be positive; got 0.0"),
        ({"heads": 3}, "width must be a multiple of heads=3; got 8"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        NeighbourAttention(**({"history": 4, "neighbours": 3, "radius": 5.0, "width": 8, "heads": 2} | sizes))


def test_observations_of_another_number_of_neighbours_are_refused():
    with pytest.raises(ValueError, match=r"shape \(B, 4, 12\); got \(6, 4, 9\). Give as many neighbours"):
        encoder()(laid_out(seen(neighbours=2)))
