"""Detectors on drawn pictures: they learn, and what they draw keeps the laws of draws, ensembles and guides."""

import copy
from itertools import pairwise

import pytest
import torch
from pictures_of_boxes import CLASSES, drawn

from embodied_gen import draws
from embodied_gen.blocks.detector import DenoisedBoxes, PyramidBlock, Scenery
from embodied_gen.boxes import DynamicK, Hungarian, corners, followed, iou
from embodied_gen.events import BoxSet
from embodied_gen.heads import DenoisingHead, Guide, Particles, RegressionHead, Steered
from embodied_gen.heads.parametrisation import Clean
from embodied_gen.heads.renewal import Renewal
from embodied_gen.heads.samplers import DDIM, transition
from embodied_gen.heads.schedules import Cosine, Level
from embodied_gen.image_encoder import ImageEncoder
from embodied_gen.nets import BoxDecoder, BoxQueries, DenseBoxes, FeaturePyramid
from embodied_gen.predictor import Predictor
from embodied_gen.statistics import answers, detection_scores
from planners import BoxCount, BoxesApart, BoxesWithin, feasible, guide_of

WIDTH, SLOTS, MOST = 32, 40, 3
SIZES = {"classes": CLASSES, "width": WIDTH, "depth": 2, "dynamic": 8}


def denoising():
    block = DenoisedBoxes(boxes=SLOTS, depth=2, dynamic=8)
    return block.build(Scenery(CLASSES, MOST, 0, (1.0, 1.0)), PyramidBlock(width=WIDTH))


def queries():
    event = BoxSet(CLASSES, SLOTS, objects=MOST, matching=Hungarian())
    return RegressionHead(event, BoxQueries(count=SLOTS, **SIZES))


def dense():
    pixels = 16 * 20 + 8 * 10 + 4 * 5
    return RegressionHead(
        BoxSet(CLASSES, pixels, objects=MOST, matching=DynamicK()), DenseBoxes(classes=CLASSES, levels=3, width=WIDTH)
    )


def trained(head, steps):
    """A detector that knows eight pictures, and these."""
    images, values = drawn(8)
    torch.manual_seed(0)
    encoder = ImageEncoder(FeaturePyramid(width=WIDTH, stages=(16, 32, 32)))
    predictor = Predictor(encoder, head(), BoxSet(CLASSES, 1).merged)
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=2e-3, fused=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        predictor.loss(images, values, generator=draws.generator(1, step)).mean().backward()
        torch.nn.utils.clip_grad_norm_(predictor.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
    return predictor.eval(), images, values


@pytest.fixture(scope="module")
def known():
    """The detector that draws, trained once. Tests that set its parts copy it."""
    return trained(denoising, 300)


@pytest.fixture
def detector(known):
    predictor, images, values = known
    return copy.deepcopy(predictor), images, values


def scores(predictor, images, values, seed=3):
    rows = predictor.predict(images, generator=draws.generator(seed))
    return detection_scores(rows.numpy(), values.numpy(), CLASSES)


def test_boxes_from_noise_learn_the_pictures(known):
    found = scores(*known)
    assert found.ap50 > 0.9 and found.ap > 0.5


@pytest.mark.parametrize("head", [queries, dense])
def test_the_baselines_learn_them_by_the_same_event(head):
    found = scores(*trained(head, 150))
    assert found.ap50 > 0.9


@pytest.mark.parametrize(("classes", "things"), [(1, 0), (3, 0), (4, 1), (1, 1000)])
def test_a_detector_of_any_number_of_classes_learns_from_images_with_no_thing_and_with_a_thousand(classes, things):
    event = BoxSet(classes, max(things, 8))
    net = BoxDecoder(classes=classes, width=8, depth=2, heads=2, dynamic=4, size=2)
    head = DenoisingHead(event, net, schedule=Cosine(100), parametrisation=Clean(), steps=1, clip=2.0)
    predictor = Predictor(ImageEncoder(FeaturePyramid(width=8, stages=(8, 8))), head, event.merged)
    value = torch.rand(1, things, 6) * 0.2 + 0.4
    value[..., 4], value[..., 5] = (torch.rand(1, things) * classes).floor(), 1
    loss = predictor.loss(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), value, generator=draws.generator(0))
    loss.sum().backward()
    slopes = [parameter.grad for parameter in predictor.parameters() if parameter.grad is not None]
    assert loss.isfinite().all() and slopes and all(slope.isfinite().all() for slope in slopes)


@pytest.mark.parametrize(("count", "steps"), [(20, 4), (100, 1), (300, 2)])
def test_the_number_of_boxes_and_steps_are_free_in_use(detector, count, steps):
    predictor, images, values = detector
    predictor.head.event.count, predictor.head.steps = count, steps
    rows = predictor.predict(images, generator=draws.generator(3))
    assert rows.shape == (8, count, 6) and predictor.head.steps == steps
    assert detection_scores(rows.numpy(), values.numpy(), CLASSES).ap50 > 0.9


def test_images_do_not_meet_and_draws_are_functions_of_the_generator(detector):
    predictor, images, _ = detector
    predictor.head.steps = 3

    def rows(images, streams):
        return predictor.predict(images, generator=[draws.generator(seed) for seed in streams])

    together = rows(images, range(8))
    for number in (0, 5):
        alone = rows(images[number : number + 1], [number])
        torch.testing.assert_close(alone[0], together[number], rtol=1e-3, atol=1e-3)
    assert torch.equal(rows(images, range(8)), together)
    assert not torch.equal(rows(images, range(1, 9)), together)


def test_an_ensemble_holds_the_boxes_of_all_steps_and_renews_what_is_not_likely():
    event = BoxSet(1, 4)
    seen, noises = [], []

    def box(x, score):
        return event.scale(torch.tensor([x, 0.5, 0.1, 0.1, score])).expand(1, 1, 5)

    def denoise(x, level):
        # Each step sees one thing of its own, in the first slot, and nothing in the others.
        seen.append((x.clone(), level))
        return torch.cat([box(0.2 + 0.3 * (len(seen) - 1), 0.9), box(0.9, 0.0).expand(1, 3, 5)], 1)

    def noise():
        noises.append(torch.full((1, 4, 5), 0.1 * (len(noises) + 1)))
        return noises[-1]

    grid = [Level(1.0, 0.1, 0.9), Level(0.6, 0.5, 0.8), Level(0.3, 0.9, 0.3), Level(0.0, 1.0, 0.0)]
    start = torch.ones(1, 4, 5)
    rows = event.decode(Renewal(event.likely, event.merged).run(start, grid, denoise, noise))[0]
    torch.testing.assert_close(rows[:3, 0].sort().values, torch.tensor([0.2, 0.5, 0.8]))
    torch.testing.assert_close(rows[:, 5], torch.tensor([0.9, 0.9, 0.9, 0.0]))
    assert len(seen) == 3 and len(noises) == 4  # none after the last step
    step = transition(*grid[:2], 1.0)
    kept = step.of_state * start[0, 0] + step.of_clean * box(0.2, 0.9)[0, 0] + step.deviation * 0.1
    torch.testing.assert_close(seen[1][0][0, 0], kept)
    fresh = (0.5**2 + 0.8**2) ** 0.5 * 0.2
    torch.testing.assert_close(seen[1][0][0, 1:], torch.full((3, 5), fresh))
    with pytest.raises(ValueError, match=r"eta must lie in \[0, 1\]; got 2"):
        Renewal(event.likely, event.merged, eta=2)


def test_more_steps_see_more_things_where_boxes_are_few(detector):
    # Three boxes for up to three things: one step misses some, and later ones look elsewhere with what found nothing.
    predictor, images, values = detector
    predictor.head.event.count = MOST
    recall = []
    for steps in (1, 2, 4):
        predictor.head.steps = steps
        found = [scores(predictor, images, values, seed=seed).recall[0].mean() for seed in range(5)]
        recall.append(sum(found) / len(found))
    assert all(fewer < more for fewer, more in pairwise(recall)) and recall[-1] > recall[0] + 0.2


@pytest.mark.parametrize("sampler", [DDIM(1.0), None])
def test_a_guide_of_scale_zero_changes_nothing(detector, sampler):
    predictor, images, _ = detector
    predictor.head.sampler, predictor.head.guidance = sampler or predictor.head.sampler, Steered()
    predictor.head.steps = 3
    guide = guide_of([], [BoxCount(7)], scale=0.0)
    free, guided = (predictor.sample(images, 2, generator=draws.generator(1), guide=g) for g in (None, guide))
    torch.testing.assert_close(guided, free)


@pytest.mark.parametrize("guidance", [Steered(), Particles(8)], ids=["steered", "particles"])
def test_guides_of_boxes_are_obeyed(detector, guidance):
    predictor, images, _ = detector
    predictor.head.sampler, predictor.head.guidance, predictor.head.steps = DDIM(1.0), guidance, 4
    free = predictor.sample(images, 4, generator=draws.generator(1))
    # The left half of the picture: free draws hold boxes to the right of it.
    left = [BoxesWithin((0, 0), (0.5, 1), likely=0.2), BoxesApart(0.2)]
    told = predictor.certified(images, 4, generator=draws.generator(1), guide=guide_of(left))
    share = feasible(left, free).float().mean()
    assert torch.equal(told.feasible, feasible(left, told.x))
    assert share < 0.5 and told.feasible.float().mean() > share + 0.3
    # Most pictures have one thing. Two are within what the detector may see in them, three in none of a few particles.
    counted = predictor.sample(images, 4, generator=draws.generator(1), guide=guide_of([], [BoxCount(2)], scale=50.0))
    assert BoxCount(2)(counted).mean() < 0.5 * BoxCount(2)(free).mean()


@pytest.mark.parametrize("true", [BoxesWithin((0, 0), (1, 1)), BoxesApart(0.5)], ids=["in the image", "apart"])
def test_detections_are_as_good_where_a_guide_says_what_holds_anyway(detector, true):
    predictor, images, values = detector
    predictor.head.steps = 4
    free = scores(predictor, images, values)
    rows = predictor.predict(images, generator=draws.generator(3), guide=guide_of([true]))
    told = detection_scores(rows.numpy(), values.numpy(), CLASSES)
    assert told.ap > free.ap - 0.02 and (told.recall[0] >= free.recall[0] - 0.02).all()


def test_as_many_boxes_are_likely_as_a_guide_says_there_are_and_they_are_the_right_ones(detector):
    predictor, images, values = detector
    predictor.head.event.count, predictor.head.steps = 6, 1  # few boxes, which leave the detector in doubt
    counts = (values[..., 5] > 0).sum(1)
    free, told = [], []
    for image, value, count in zip(images.split(1), values.split(1), counts.tolist(), strict=True):
        for seed in range(5):
            for found, guide in ((free, None), (told, guide_of([], [BoxCount(count)], scale=5.0))):
                rows = predictor.predict(image, generator=draws.generator(seed), guide=guide)
                right = answers(rows.numpy(), value.numpy(), CLASSES)
                found.append((abs(int((rows[..., 5] >= 0.5).sum()) - count), right.f1))
    (off, f1), (told_off, told_f1) = (torch.tensor(found, dtype=torch.float64).mean(0) for found in (free, told))
    assert told_off < 0.6 * off and told_f1 >= f1 - 0.02


def test_draws_say_where_each_box_may_be(detector):
    predictor, images, _ = detector
    rows = predictor.predict(images, generator=draws.generator(3))[:, :MOST]
    predictor.head.sampler = DDIM(1.0)
    sampled = predictor.sample(images, 6, generator=draws.generator(4))
    boxes, found = followed(sampled, rows[..., :4], rows[..., 4].long())
    assert boxes.shape == (8, MOST, 6, 4) and found.shape == (8, MOST, 6)
    overlap = iou(corners(boxes), corners(rows[..., :4]).unsqueeze(2))
    assert (overlap[found] > 0.5).all()
    # What is followed is what a draw says of a place, and not whichever of its boxes lies nearest to the detection.
    event = predictor.head.event
    alone = event.decode(event.merged(event.scale(sampled).flatten(0, 1).unsqueeze(1))).unflatten(0, (8, 6))
    same = (boxes.transpose(1, 2).unsqueeze(3) - alone[..., :4].unsqueeze(2)).abs().amax(-1).amin(-1) < 1e-5
    assert same[found.transpose(1, 2)].all()
    assert torch.equal(boxes[~found], rows[:, :, None, :4].expand_as(boxes)[~found])
    likely = rows[..., 5] > 0.3
    assert found[likely].float().mean() > 0.8
    other = torch.where(rows[..., 4] == 0, 1, 0)
    assert followed(sampled, rows[..., :4], other, likely=0.3)[1][likely].float().mean() < 0.2


def test_pictures_of_another_type_are_refused(detector):
    predictor, images, _ = detector
    with pytest.raises(ValueError, match=r"bytes from 0 to 255, torch.uint8; got torch.float32\. Multiply"):
        predictor.predict(images / 255, generator=draws.generator(0))
    with pytest.raises(ValueError, match=r"shape \(B, 3, H, W\).*got \(8, 1, 64, 80\)"):
        predictor.predict(images[:, :1], generator=draws.generator(0))
    with pytest.raises(ValueError, match=r"must be a tensor; got ndarray\. Convert arrays with torch\.from_numpy"):
        predictor.predict(images.numpy(), generator=draws.generator(0))


@pytest.mark.parametrize("head", [denoising, queries, dense])
@pytest.mark.parametrize("n", [1, 4])
def test_no_pictures_hold_no_boxes(head, n):
    encoder = ImageEncoder(FeaturePyramid(width=WIDTH, stages=(16, 32, 32)))
    predictor = Predictor(encoder, head(), BoxSet(CLASSES, 1).merged)
    boxes = predictor.predict(torch.zeros(0, 3, 32, 40, dtype=torch.uint8), n, generator=draws.generator(0))
    assert boxes.shape == (0, predictor.head.event.count, 6)


def test_a_projection_of_boxes_is_kept(detector):
    predictor, images, _ = detector
    guide = Guide(project=lambda y: torch.cat([y[..., :4].clamp(0, 0.7), y[..., 4:]], -1))
    projected = predictor.sample(images, 2, generator=draws.generator(1), guide=guide)
    assert (projected[..., :4] <= 0.7 + 1e-5).all()


class WholeImage(torch.nn.Module):
    """Estimates one box, which is the whole image."""

    def __init__(self, event):
        super().__init__()
        self.event = event

    def forward(self, x, t, c):
        return self.event.scale(torch.tensor([0.5, 0.5, 1.0, 1.0, 0.9])).expand_as(x)


def test_a_thing_as_large_as_the_image_can_be_drawn_whatever_the_extent():
    event = BoxSet(1, 4, extent=(0.1, 0.2))
    sampler = Renewal(event.likely, event.merged)
    head = DenoisingHead(
        event,
        WholeImage(event),
        schedule=Cosine(100),
        parametrisation=Clean(),
        sampler=sampler,
        steps=3,
        clip=event.signal,
    )
    rows = event.decode(head.sample(torch.zeros(2, 1), 1, generator=draws.generator(0))[:, 0])
    torch.testing.assert_close(rows[:, 0], torch.tensor([0.5, 0.5, 1.0, 1.0, 0.0, 0.9]).expand(2, 6))
