"""Segmenters: marginals where a head has them, shares of draws where not, and what is learned without labels."""

import numpy as np
import pytest
import torch

from embodied_gen import draws
from embodied_gen.events import LabelMap
from embodied_gen.graphs import Tree
from embodied_gen.heads import CellwiseHead, DenoisingHead, PixelCNNHead, TreeCRFHead
from embodied_gen.image_encoder import PictureEncoder, SurfaceEncoder
from embodied_gen.images.label_examples import LabelExamples
from embodied_gen.images.labelled import VOID, LabelledImages
from embodied_gen.images.segmenter import Segmenter, judge
from embodied_gen.nets import ImageUNet, MaskedConvNet
from embodied_gen.predictor import Predictor
from embodied_gen.statistics import label_scores

ROWS, COLUMNS = 8, 12


def unet(channels):
    return ImageUNet(channels_in=2, channels_out=channels, width=8, multipliers=(1, 2), groups=4)


HEADS = {
    "cellwise": lambda event: CellwiseHead(event, unet(2)),
    "chain": lambda event: TreeCRFHead(event, unet(2), Tree.chain(ROWS * COLUMNS)),
    "pixelcnn": lambda event: PixelCNNHead(
        event, unet(8), MaskedConvNet(channels_in=2, channels_out=2, context=8, width=8, depth=2)
    ),
    "denoising": lambda event: DenoisingHead(event, unet(2), steps=5),
}


def areas(count=16):
    """Pictures of a dark and a bright area, of which nobody has labelled the upper half where it is bright."""
    edges = torch.randint(3, COLUMNS - 3, (count, 1, 1), generator=draws.generator(0))
    truth = (torch.arange(COLUMNS) >= edges).expand(count, ROWS, COLUMNS).to(torch.uint8)
    images = (60 + 140 * truth).unsqueeze(1).repeat(1, 3, 1, 1)
    labels = truth.clone()
    labels[:, : ROWS // 2][truth[:, : ROWS // 2] == 1] = VOID
    return LabelledImages(images, labels, "areas"), truth


def trained(make, steps):
    torch.manual_seed(0)
    predictor = Predictor(PictureEncoder(3), make(LabelMap(ROWS, COLUMNS, 2)))
    examples = LabelExamples(areas()[0], classes=2)
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=1e-2)
    for step in range(steps):
        batch = examples.batch(torch.arange(16))
        optimizer.zero_grad()
        loss = predictor.loss(batch.observations, batch.value, valid=batch.valid, generator=draws.generator(step))
        loss.mean().backward()
        optimizer.step()
    return predictor


@pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)
def test_pixels_without_a_label_are_not_learned_as_the_first_class(make):
    labelled, truth = areas()
    segmenter = Segmenter(trained(make, 60))
    called = segmenter.labels(labelled.images)
    known, bright = labelled.labels != VOID, truth == 1
    assert (called == truth)[known].float().mean() > 0.9
    # Half of what is bright has labels; what has none would be called dark if it were learned so.
    assert (called == truth)[~known].float().mean() > 0.75 and bright[~known].all()


@pytest.fixture(scope="module")
def drawing():
    return trained(HEADS["denoising"], 20)


def test_probabilities_of_a_head_without_marginals_are_shares_of_its_draws(drawing):
    images = areas(3)[0].images
    p = Segmenter(drawing, drawn=8, seed=5).probabilities(images)
    assert p.shape == (3, ROWS, COLUMNS, 2) and torch.equal(8 * p, (8 * p).round())
    torch.testing.assert_close(p.sum(-1), torch.ones(3, ROWS, COLUMNS))
    streams = [draws.generator(5, row) for row in range(3)]
    maps = drawing.sample(images, 8, generator=streams).argmax(-1)
    torch.testing.assert_close(p[..., 1], maps.float().mean(1))
    assert torch.equal(Segmenter(drawing, drawn=8, seed=5).labels(images), p.argmax(-1))
    assert not torch.equal(Segmenter(drawing, drawn=8, seed=6).probabilities(images), p)


def test_an_answer_does_not_depend_on_how_many_images_are_looked_at_together(drawing):
    images = areas(5)[0].images
    answers = [Segmenter(drawing, drawn=4, batch=batch).probabilities(images) for batch in (1, 2, 5)]
    assert all((each - answers[0]).abs().max() <= 0.25 for each in answers)  # a draw may turn by rounding
    assert all(torch.equal(each.argmax(-1), answers[0].argmax(-1)) for each in answers)
    alone = Segmenter(drawing, drawn=4).probabilities(images[3:4], first=3)
    assert torch.equal(alone.argmax(-1), answers[0][3:4].argmax(-1))


def test_a_head_with_marginals_is_asked_for_them():
    predictor, images = trained(HEADS["chain"], 2), areas(3)[0].images
    expected = predictor.head.marginals(predictor.encoder(images))
    torch.testing.assert_close(Segmenter(predictor, batch=2).probabilities(images), expected)


def test_images_are_judged_by_the_scores_of_what_they_are_called():
    labelled, predictor = areas(5)[0], trained(HEADS["cellwise"], 5)
    segmenter = Segmenter(predictor, batch=2)
    judged = judge(segmenter, labelled)
    valid = (labelled.labels != VOID).numpy()
    truth = labelled.labels.numpy().copy()
    truth[~valid] = 0
    expected = label_scores(segmenter.labels(labelled.images).numpy(), truth, 2, valid=valid)
    assert judged.scores().mean_iou == pytest.approx(expected.mean_iou)
    assert judged.scores().boundary == pytest.approx(expected.boundary)
    assert judged.confusions.shape == (5, 2, 2) and 0 <= judged.calibration_error <= 1


@pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)
def test_no_images_have_no_labels(make):
    segmenter = Segmenter(Predictor(PictureEncoder(3), make(LabelMap(ROWS, COLUMNS, 2))), drawn=3)
    images = torch.zeros(0, 3, ROWS, COLUMNS, dtype=torch.uint8)
    assert segmenter.labels(images).shape == (0, ROWS, COLUMNS)
    assert segmenter.probabilities(images).shape == (0, ROWS, COLUMNS, 2)


def test_an_array_is_told_how_it_becomes_a_tensor():
    images = np.zeros((1, ROWS, COLUMNS, 3), np.uint8)
    segmenter = Segmenter(Predictor(PictureEncoder(3), HEADS["cellwise"](LabelMap(ROWS, COLUMNS, 2))))
    with pytest.raises(ValueError, match=r"must be a tensor; got ndarray\. Convert arrays with torch\.from_numpy"):
        segmenter.labels(images)
    with pytest.raises(ValueError, match=r"must be a tensor; got ndarray\. Convert arrays with torch\.from_numpy"):
        SurfaceEncoder()(images)
