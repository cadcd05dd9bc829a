"""Drawn leaves."""

import pytest
import torch

from embodied_gen.images.leaves import leaves


def test_an_image_is_a_function_of_its_number():
    images, instances = leaves(5, seed=3)
    assert images.shape == (5, 48, 48, 3) and images.dtype == instances.dtype == torch.uint8
    again = leaves(2, seed=3, first=3)
    assert torch.equal(images[3:], again[0]) and torch.equal(instances[3:], again[1])
    assert not torch.equal(images, leaves(5, seed=4)[0]) and not torch.equal(images[0], images[1])


def test_maps_are_numbered_without_gaps_and_hold_what_is_visible():
    _, instances = leaves(200, size=(40, 32), objects=(0, 5), seed=1)
    assert instances.shape == (200, 32, 40)
    counts = set()
    for each in instances:
        numbers, pixels = each.unique(return_counts=True)
        found = pixels[numbers > 0]
        assert numbers[numbers > 0].tolist() == list(range(1, len(found) + 1))
        assert len(found) == 0 or found.min() >= 12
        counts.add(len(found))
    assert counts == {0, 1, 2, 3, 4, 5}


def test_leaves_hide_each_other_and_differ_from_the_ground():
    images, instances = leaves(100, objects=(4, 6), seed=2)
    alone = (leaves(100, objects=(1, 1), seed=2)[1] > 0).flatten(1).sum(1)
    whole = (instances > 0).flatten(1).sum(1)
    ground = images[instances == 0].float()
    assert ground.std(0).max() < 0.08 * 255 and whole.float().mean() > 2 * alone.float().mean()
    spread = images[instances > 0].float().std(0).min()
    assert spread > 2 * ground.std(0).max()


def test_as_many_leaves_as_are_asked_for_at_most():
    assert leaves(20, objects=(0, 0))[1].max() == 0
    assert leaves(1, size=(256, 256), objects=(255, 255), seed=1)[1].max() > 50


@pytest.mark.parametrize(
    "wrong",
    [{"count": 0}, {"size": (15, 48)}, {"objects": (3, 2)}, {"objects": (0, 1000)}, {"seed": -1}, {"first": -1}],
)
def test_numbers_out_of_range_are_named(wrong):
    with pytest.raises(ValueError, match="leaves need count >= 1, sides of at least 16 px"):
        leaves(**({"count": 1} | wrong))
