"""Variants: worlds in a mirror and in other sizes."""

import dataclasses

import pytest
import shapely
import torch
from crowds import recording

from embodied_gen.forecasting.check import check_no_leak
from embodied_gen.forecasting.examples import AgentExamples, CrowdExamples
from embodied_gen.forecasting.variants import Varied
from embodied_gen.forecasting.walls import pieces_of
from embodied_gen.forecasting.windows import SOCIAL_GAN, windows_of

SIZES = (0.5, 2.0)


@pytest.fixture(scope="module")
def windows():
    return windows_of([recording([(0, 24), (0, 23), (1, 24)])], SOCIAL_GAN)


WALLS = pieces_of([shapely.box(1, 1, 3, 2), shapely.LineString([(-2, 0), (-2, 4)])])


def agents(windows, factors=(1.0, 1.0)):
    return AgentExamples(windows, neighbours=2)


def crowds(windows, factors=(1.0, 1.0)):
    return CrowdExamples(windows, neighbours=2, walls=WALLS * torch.tensor(factors), points=3)


@pytest.fixture(params=[agents, crowds], ids=lambda make: make.__name__)
def examples_of(request):
    """Makes examples of windows, or of those with other tracks in a world whose walls are stretched."""

    def make(windows, tracks=None, factors=(1.0, 1.0)):
        changed = windows if tracks is None else dataclasses.replace(windows, tracks=tracks)
        return request.param(changed, factors)

    return make


def all_of(examples):
    return examples.batch(torch.arange(len(examples)))


def test_variants_are_the_examples_of_worlds_that_are_mirrored_and_stretched(windows, examples_of):
    varied, count = all_of(Varied(examples_of(windows), sizes=SIZES)), len(windows.tracks)
    worlds = [(s, s * m) for s in SIZES for m in (1, -1)]
    assert len(varied.value) == count * len(worlds)
    for number, factors in enumerate(worlds):
        world = all_of(examples_of(windows, windows.tracks * torch.tensor(factors), factors))
        for found, expected in zip(varied, world, strict=True):
            torch.testing.assert_close(found[number * count :][:count], expected, atol=2e-4, rtol=0)


def test_statistics_are_those_of_all_variants(windows, examples_of):
    varied = Varied(examples_of(windows), sizes=SIZES)
    batch = all_of(varied)
    torch.testing.assert_close(varied.values(), batch.value)
    torch.testing.assert_close(varied.observations(), batch.observations.flatten(0, 1))


def test_nothing_of_the_future_is_observed(windows, examples_of):
    check_no_leak(lambda t: all_of(Varied(examples_of(windows, t), sizes=SIZES)).observations, windows.tracks)


def test_a_variant_says_where_it_is_from(windows, examples_of):
    examples = examples_of(windows)
    varied = Varied(examples, sizes=SIZES)
    assert varied.place(2 * len(examples) + 1) == examples.place(1)
    assert (varied.source, varied.device) == (examples.source, examples.device)


@pytest.mark.parametrize("sizes", [(), (1.0, 0.0), (float("nan"),)])
def test_impossible_sizes_are_refused(sizes, windows, examples_of):
    with pytest.raises(ValueError, match="sizes must be one or more positive factors; got"):
        Varied(examples_of(windows), sizes=sizes)
