"""How draws of a detector spread around what is detected, and how often that holds the truth."""

import pytest
import torch
from pictures_of_boxes import drawn
from test_detection import CLASSES, ROOT

from embodied_gen.demos.boxed_images import BoxedImages
from embodied_gen.detection import drawing, residuals, spread
from embodied_gen.detection.experiment import Images, build, read
from embodied_gen.detection.spreads import LEVELS, samples_of, summarised
from embodied_gen.heads.samplers import DDIM

IMAGES, THINGS, DRAWS = 150, 4, 39
SIZE = 0.3


def pictures(seed, *, deviation=0.01, copies=3, missing=0.0):
    """Detections, draws and things of one law: every box is its place, and noise of its own."""
    stream = torch.Generator().manual_seed(seed)
    place = torch.cat([torch.tensor([[0.2, 0.2], [0.2, 0.8], [0.8, 0.2], [0.8, 0.8]]), torch.full((4, 2), SIZE)], -1)
    labels = torch.arange(THINGS).remainder(2).float().view(1, THINGS, 1).expand(IMAGES, -1, -1)

    def boxes(*shape):
        return place.repeat(shape[-1] // THINGS, 1) + deviation * torch.randn(*shape, 4, generator=stream)

    one = torch.ones(IMAGES, THINGS, 1)
    rows, truth = (torch.cat([boxes(IMAGES, THINGS), labels, score * one], -1) for score in (0.9, 1.0))
    many = boxes(IMAGES, DRAWS, THINGS * copies)
    score = 0.3 + 0.6 * torch.rand(*many.shape[:3], 1, generator=stream)
    score = torch.where(torch.rand(IMAGES, DRAWS, 1, 1, generator=stream) < missing, 0.0, score)
    scores = score * torch.nn.functional.one_hot(torch.arange(THINGS * copies) % THINGS % 2, 2)
    return rows, torch.cat([many, scores], -1), truth


def halves(samples):
    """Things by turns in two halves."""
    return torch.arange(len(samples.truth)) % 2


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_draws_of_the_truths_own_law_hold_it_as_often_as_they_say_and_are_as_wide_as_it(missing):
    samples = samples_of(*pictures(0, missing=missing))
    found = summarised(samples, halves(samples))
    assert found.things == IMAGES * THINGS and found.share == pytest.approx(1 - missing, abs=0.03)
    normal = torch.distributions.Normal(0, 0.01)
    expected = [2 * normal.icdf(torch.tensor((1 + level) / 2)).item() / SIZE for level in LEVELS]
    for held in (found.drawn, found.learned):
        assert held.coverage == pytest.approx(LEVELS, abs=0.03)
        assert held.width == pytest.approx(expected, rel=0.15)


def test_draws_that_spread_too_little_hold_the_truth_too_seldom_and_those_of_residuals_do_not():
    rows, sets, truth = pictures(1)
    middle = torch.cat([truth[..., :4].repeat(1, 3, 1).unsqueeze(1).mean(0, keepdim=True).expand_as(sets[..., :4])])
    narrow = torch.cat([middle + (sets[..., :4] - middle) / 3, sets[..., 4:]], -1)
    all_ = [samples_of(rows, some, truth) for some in (sets, narrow)]
    right, wrong = (summarised(samples, halves(samples)) for samples in all_)
    assert all(a < b - 0.1 for a, b in zip(wrong.drawn.coverage, right.drawn.coverage, strict=True))
    assert all(a < 0.5 * b for a, b in zip(wrong.drawn.width, right.drawn.width, strict=True))
    assert wrong.learned.coverage == pytest.approx(LEVELS, abs=0.03)


def test_only_things_that_are_there_and_detected_count():
    rows, sets, truth = pictures(2)
    truth[:50, 0, 5] = 0  # not there
    rows[50:60, 1, 5] = 0.01  # not likely
    rows[60:70, 2, 4] += 1  # of another class
    rows[70:80, 3, :2] = 0.5  # elsewhere
    sets[80:90, 1:, :, 4:] = 0  # in one draw alone
    samples = samples_of(rows, sets, truth)
    assert all(len(part) == IMAGES * THINGS - 50 - 30 for part in samples)
    assert summarised(samples, halves(samples)).things == len(samples.truth) - 40
    for nothing in ((rows, sets, 0 * truth), (rows, sets, truth[:, :0]), (rows, 0 * sets, truth)):
        samples = samples_of(*nothing)
        assert summarised(samples, halves(samples)) is None
    few = samples_of(rows, sets, truth).some(torch.arange(30))
    assert summarised(few, halves(few)).learned is None


@pytest.fixture(scope="module")
def untrained():
    """New detectors by kind."""
    return {
        kind: build(read(ROOT / "configs" / f"boxes_{kind}.yaml"), Images((3, 64, 80), 3, CLASSES)).eval()
        for kind in ("denoising", "queries")
    }


def test_a_copy_draws_and_the_detector_stays_as_it_was(untrained):
    predictor = untrained["denoising"]
    sampler = predictor.head.sampler
    copied = drawing(predictor, steps=3)
    assert isinstance(copied.head.sampler, DDIM) and copied.head.steps == 3
    assert predictor.head.sampler is sampler and predictor.head.steps == 1


def test_detectors_that_do_not_draw_and_too_few_draws_are_refused(untrained):
    with pytest.raises(ValueError, match=r"the head of this one is a RegressionHead\. Name another"):
        drawing(untrained["queries"])
    with pytest.raises(ValueError, match="needs at least 2 of them; got 1"):
        spread(untrained["denoising"], None, count=1)
    with pytest.raises(ValueError, match=r"at least 20 boxes that two draws have; got 0\. Take more images"):
        residuals(untrained["denoising"], BoxedImages(*drawn(3)), count=2, steps=1)


def test_images_have_streams_of_their_own(untrained, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "embodied_gen.detection.spreads.samples_of", lambda *parts: seen.append(parts) or samples_of(*parts)
    )
    images, values = drawn(3)
    for count in (3, 2):
        spread(untrained["denoising"], BoxedImages(images, values), count=2, steps=1, images=count)
    assert len(seen) == 5 and seen[0][1].shape[:2] == (1, 2)
    for first, second in zip(seen[:2], seen[3:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(seen[0][1][0, 0], seen[0][1][0, 1])
