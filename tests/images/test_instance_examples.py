"""Examples of images with instance maps."""

import pytest
import torch

from embodied_gen.images.examples import InstanceExamples, shrunk


def data(count=10, size=(8, 6)):
    g = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, size[1], size[0], 3), dtype=torch.uint8, generator=g)
    return images, torch.randint(0, 4, (count, size[1], size[0]), dtype=torch.uint8, generator=g)


def test_examples_are_the_images_in_their_order():
    images, instances = data()
    examples = InstanceExamples(images, instances, source="here")
    batch = examples.batch(torch.tensor([7, 2]))
    assert torch.equal(batch.observations, images[[7, 2]]) and torch.equal(batch.value, instances[[7, 2]])
    assert batch.valid.all() and batch.valid.shape == batch.value.shape
    assert len(examples) == 10 and examples.place(3) == (3, 0) and torch.equal(examples.values(), instances)
    torch.testing.assert_close(examples.observations().mean(0), images.float().mean((0, 1, 2)))


@pytest.mark.parametrize(("share", "kept"), [(0.0, 10), (0.2, 8), (0.01, 10)])
def test_the_last_images_are_split_off(share, kept):
    images, instances = data()
    first, rest = InstanceExamples(images, instances, source="here").split(share)
    assert torch.equal(first.images, images[:kept])
    assert (rest is None) == (kept == 10)
    if rest is not None:
        assert torch.equal(rest.instances, instances[kept:])


def test_shrinking_takes_means_of_colours_and_labels_of_middles():
    images, instances = data(300, (12, 9))
    small, labels = shrunk(images, instances, (4, 3))
    assert small.shape == (300, 3, 4, 3) and labels.shape == (300, 3, 4)
    mean = images[299, 3:6, 9:12].float().mean((0, 1))
    assert (small[299, 1, 3].float() - mean).abs().max() <= 0.5
    assert labels[299, 1, 3] == instances[299, 4, 10]
    assert shrunk(images, instances, (12, 9))[0] is images


@pytest.mark.parametrize("size", [(5, 3), (4, 9), (24, 18), (12, 3)])
def test_sizes_that_do_not_fit_are_named(size):
    with pytest.raises(ValueError, match=f"12 x 9 pixels can be made smaller .* got {size[0]} x {size[1]}"):
        shrunk(*data(2, (12, 9)), size)


def test_what_is_no_image_is_named():
    images, instances = data()
    for wrong, sentence in (
        ((images.float(), instances), "images must be bytes, torch.uint8, .* got torch.float32"),
        ((images[..., :2], instances), r"shape \(N, H, W, 3\) with N >= 1; got torch.uint8 \(10, 6, 8, 2\)"),
        ((images[:0], instances[:0]), "N >= 1"),
        ((images, instances[:5]), r"here: instances must be integers of shape \(10, 6, 8\)"),
        ((images, instances.float()), "got torch.float32"),
    ):
        with pytest.raises(ValueError, match=sentence):
            InstanceExamples(*wrong, source="here")
