"""Examples of images with labels: windows, mirrors, void, and weights of classes."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.events.labels import UNLABELLED
from embodied_gen.images.label_examples import LabelExamples, median_frequency
from embodied_gen.images.labelled import VOID, LabelledImages
from embodied_gen.images.shards import DEPTH_UNIT
from embodied_gen.images.surfaces import DepthPictures, normals_of
from tests.images.labelled import SIZE, labelled_pictures


def bytes_of(*shapes):
    return [torch.zeros(shape, dtype=torch.uint8) for shape in shapes]


def plain(count=3, **options):
    return LabelExamples(labelled_pictures(count), classes=3, **options)


def test_without_variants_images_are_as_they_are():
    pictures = labelled_pictures(3)
    batch = plain().batch(torch.tensor([2, 0]))
    assert torch.equal(batch.observations, pictures.images[[2, 0]])
    known = pictures.labels[[2, 0]] != VOID
    assert torch.equal(batch.valid > 0, known) and set(batch.valid.unique().tolist()) == {0.0, 1.0}
    assert (batch.value[~known] == UNLABELLED).all()
    assert torch.equal(batch.value[known], pictures.labels[[2, 0]][known].long())


def test_variants_are_windows_of_their_images_and_the_same_every_time():
    examples, width = plain(variants=8), SIZE[0]
    index = torch.arange(len(examples))
    assert len(examples) == 24
    first, second = examples.batch(index), plain(variants=8).batch(index)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    other = plain(variants=8, seed=1).batch(index)
    assert not torch.equal(first.observations, other.observations)
    assert first.observations.dtype == torch.uint8 and first.observations.shape == (24, 3, SIZE[1], width)
    assert examples.place(7) == (1, 2)


@given(seed=st.integers(0, 10**6), zoom=st.floats(0.2, 1))
@settings(max_examples=25, deadline=None)
def test_labels_move_with_the_colours(seed, zoom):
    # Where colours and labels both are the number of the column, or of the row, they differ by less than half a pixel.
    column, row = torch.arange(24).expand(18, 24), torch.arange(18).unsqueeze(1).expand(18, 24)
    labels = torch.stack([column, row]).to(torch.uint8)
    images = (labels * 10).unsqueeze(1).repeat(1, 3, 1, 1)
    ramps = LabelExamples(LabelledImages(images, labels, "ramps"), classes=24, variants=4, zoom=zoom, seed=seed)
    batch = ramps.batch(torch.arange(8))
    assert (batch.observations[:, 0].float() / 10 - batch.value).abs().max() <= 0.5 + 0.05 + 1e-3
    assert (batch.valid == 1).all()


@given(seed=st.integers(0, 10**6), zoom=st.floats(0.2, 1))
@settings(max_examples=25, deadline=None)
def test_depth_and_normals_move_with_the_labels_and_look_the_other_way_in_mirrored_windows(seed, zoom):
    # Where depth has the number of the column, it and its normals are those of the column of the label.
    column = torch.arange(24).expand(1, 18, 24)
    labels, images = column.to(torch.uint8), torch.zeros(1, 3, 18, 24, dtype=torch.uint8)
    deep = LabelledImages(images, labels, "ramp", DepthPictures((5000 + 20 * column**2).to(torch.int16), 0.4))
    whole = deep.observed(slice(None))[0]
    batch = LabelExamples(deep, classes=24, variants=4, zoom=zoom, seed=seed).batch(torch.arange(4))
    seen, value = batch.observations, batch.value
    assert seen.shape == (4, 7, 18, 24) and seen.dtype == torch.float32
    torch.testing.assert_close(seen[:, 3], whole[3, 0][value])
    for row in range(4):
        mirrored = value[row, 0, 0] > value[row, 0, -1]
        torch.testing.assert_close(seen[row, 4], (-1 if mirrored else 1) * whole[4, 9][value[row]])


def test_mirrored_windows_have_the_normals_of_mirrored_depth():
    depth = (5500 + 500 * torch.rand(1, 18, 24)).to(torch.int16)
    images, labels = torch.zeros(1, 3, 18, 24, dtype=torch.uint8), torch.zeros(1, 18, 24, dtype=torch.uint8)
    seen = LabelExamples(
        LabelledImages(images, labels, "noise", DepthPictures(depth, 0.4)), classes=2, variants=20, zoom=1.0
    )
    seen = seen.batch(torch.arange(20)).observations
    both = [normals_of(each.float() * DEPTH_UNIT, 0.4)[0] for each in (depth, depth.flip(2))]
    # Where both neighbours are equally near in depth, either may be taken: a few pixels.
    agree = [((seen[:, 4:] - each).abs().amax(1) < 1e-4).float().mean((1, 2)) > 0.9 for each in both]
    assert (agree[0] ^ agree[1]).all() and agree[0].any() and agree[1].any()


def test_half_of_whole_images_are_mirrored():
    pictures = labelled_pictures(1)
    batch = LabelExamples(pictures, classes=3, variants=200, zoom=1.0).batch(torch.arange(200))
    same = (batch.observations == pictures.images).flatten(1).all(1)
    mirrored = (batch.observations == pictures.images.flip(3)).flatten(1).all(1)
    assert (same | mirrored).all() and 70 < int(same.sum()) < 130


def test_weights_are_median_frequencies():
    labels = torch.tensor([[[0, 0, 0, 1]], [[0, 0, 2, VOID]]], dtype=torch.uint8)
    # Frequencies: 0 has 5 of 7, 1 has 1 of the 4 of its image, 2 has 1 of 3; 3 occurs nowhere.
    expected = torch.tensor([(1 / 3) / (5 / 7), (1 / 3) / (1 / 4), 1.0, 0.0])
    torch.testing.assert_close(median_frequency(labels, 4), expected)


def test_rare_classes_count_more_where_that_is_asked_for():
    batch = plain(balanced=True).batch(torch.arange(3))
    weights = {k: batch.valid[(batch.value == k) & (batch.valid > 0)].unique() for k in range(3)}
    assert all(len(found) == 1 for found in weights.values())
    assert weights[0] < min(weights[1], weights[2]) and (batch.valid[:, 0] == 0).all()


def test_numbers_out_of_range_are_named():
    with pytest.raises(ValueError, match=r"variants at least 0 and zoom in \(0, 1\]; got 3, -1 and 0.5"):
        plain(variants=-1)
    with pytest.raises(ValueError, match=r"got 3, 1 and 1\.5"):
        plain(variants=1, zoom=1.5)
    with pytest.raises(ValueError, match="pictures: there must be an image"):
        LabelExamples(LabelledImages(*bytes_of((0, 3, 2, 2), (0, 2, 2)), "pictures"), classes=3)


def test_a_label_of_no_class_is_named_before_an_example_is_asked_for():
    pictures = labelled_pictures(3)
    pictures.labels[1, 4, 5] = 7
    with pytest.raises(
        ValueError, match=r"pictures: labels must be from 0 to 2, or 255 .* image 1 has 7\. Give the number"
    ):
        LabelExamples(pictures, classes=3)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.rand(2, 3, 4, 5), bytes_of((2, 4, 5))[0]),
        bytes_of((2, 1, 4, 5), (2, 4, 5)),
        bytes_of((2, 4, 5), (2, 4, 5)),
        bytes_of((2, 3, 4, 5), (2, 5, 4)),
        (bytes_of((2, 3, 4, 5))[0], torch.zeros(2, 4, 5, dtype=torch.long)),
    ],
    ids=["shares", "grey", "no channels", "another size", "wide labels"],
)
def test_images_that_are_no_colours_in_bytes_are_named(images, labels):
    expected = r"photos: images and labels must be bytes, torch.uint8, of shapes \(N, 3, H, W\) and \(N, H, W\); got "
    found = (
        f"{images.dtype} {tuple(images.shape)} and {labels.dtype} {tuple(labels.shape)}. Repeat the channel of a grey"
    )
    with pytest.raises(ValueError, match=expected + re.escape(found)):
        LabelledImages(images, labels, "photos")
