"""Average precision against the reference program and against counting; calibration against its definition."""

import contextlib
import io
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embodied_gen.statistics import (
    answers,
    central_intervals,
    coverage,
    detection_scores,
    detections,
    expected_calibration_error,
    score_calibration,
)

seeds = st.integers(0, 10_000)


def drawn(seed, *, images=6, classes=3, objects=5, extra=4, levels=None):
    """Objects, and detections that are objects moved a little, some of another class, and boxes of nothing."""
    rng = np.random.default_rng(seed)

    def rows(n):
        size = 0.1 + 0.3 * rng.random((images, n, 2))
        middle = size / 2 + (1 - size) * rng.random((images, n, 2))
        label = rng.integers(0, classes, (images, n, 1))
        return np.concatenate([middle, size, label, np.ones((images, n, 1))], -1)

    truth = rows(objects)
    truth[..., 5] = rng.random((images, objects)) < 0.7
    near = np.concatenate([truth, truth], 1)
    near[..., :4] += 0.03 * rng.normal(size=near[..., :4].shape) * rng.random((images, 2 * objects, 1)) * 2
    near[..., 2:4] = near[..., 2:4].clip(0.02)
    ours = np.concatenate([near, rows(extra)], 1)
    other = rng.random(ours.shape[:2]) < 0.2
    ours[..., 4] = np.where(other, rng.integers(0, classes, ours.shape[:2]), ours[..., 4])
    score = rng.random(ours.shape[:2])
    ours[..., 5] = (score if levels is None else np.ceil(score * levels) / levels) * (rng.random(ours.shape[:2]) < 0.9)
    return ours, truth


def reference(ours, truth, classes, most):
    """Precision (10, K), not a number without objects, and the summary (AP, AP50, AP75) of pycocotools."""
    coco = pytest.importorskip("pycocotools.coco", reason="the dev group's pycocotools is not installed")
    evaluation = pytest.importorskip("pycocotools.cocoeval")

    def entries(rows, scored):
        found = []
        for image, boxes in enumerate(rows):
            for cx, cy, w, h, label, score in boxes:
                if score > 0:
                    box = [640 * (cx - w / 2), 480 * (cy - h / 2), 640 * w, 480 * h]
                    entry = {"image_id": image, "category_id": int(label), "bbox": box, "area": box[2] * box[3]}
                    more = {"score": score} if scored else {"id": len(found) + 1, "iscrowd": 0}
                    found.append(entry | more)
        return found

    with contextlib.redirect_stdout(io.StringIO()):
        annotated = coco.COCO()
        annotated.dataset = {
            "info": {},
            "images": [{"id": i, "width": 640, "height": 480} for i in range(len(truth))],
            "categories": [{"id": k, "name": str(k)} for k in range(classes)],
            "annotations": entries(truth, False),
        }
        annotated.createIndex()
        judge = evaluation.COCOeval(annotated, annotated.loadRes(entries(ours, True)), "bbox")
        judge.params.maxDets = [most]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls, classes
    known = precision > -1
    by_class = np.where(known.all(1), precision.mean(1), np.nan)
    return by_class, precision[known].mean(), precision[0][known[0]].mean(), precision[5][known[5]].mean()


@pytest.mark.parametrize("levels", [None, 5], ids=["scores", "equal scores"])
@pytest.mark.parametrize("most", [2, 100, 300])
@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_the_reference(seed, most, levels):
    ours, truth = drawn(seed, levels=levels)
    by_class, ap, ap50, ap75 = reference(ours, truth, 4, most)
    found = detection_scores(ours, truth, 4, most=most)
    np.testing.assert_allclose(found.precision, by_class, atol=1e-6)
    assert (found.ap, found.ap50, found.ap75) == pytest.approx((ap, ap50, ap75), abs=1e-6)
    assert np.isnan(found.precision[:, 3]).all()  # a class that does not occur


def overlap(a, b):
    width, height = (
        min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) - max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2) for i in (0, 1)
    )
    shared = max(width, 0) * max(height, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def by_hand(ours, truth, label, threshold, most):
    """Scores and matches of a class, one detection after the other."""
    pairs, objects = [], 0
    for found, things in zip(ours, truth, strict=True):
        things = [t for t in things if t[4] == label and t[5] > 0]
        objects += len(things)
        taken = set()
        found = sorted((d for d in found if d[4] == label and d[5] > 0), key=lambda d: -d[5])[:most]
        for d in found:
            free = [(overlap(d, t), j) for j, t in enumerate(things) if j not in taken]
            value, j = max(free, default=(-1, -1))
            if value >= threshold:
                taken.add(j)
            pairs.append((d[5], value >= threshold))
    return sorted(pairs, key=lambda pair: -pair[0]), objects


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([1, 3, 100]))
@example(3027, 100)  # its recall of 7 / 10 is less than the level 70 / 100 by the last bit, as COCO has it
def test_average_precision_is_that_of_counting(seed, most):
    ours, truth = drawn(seed, images=4)
    found = detection_scores(ours, truth, 3, most=most)
    for label in range(3):
        for number, threshold in ((0, 0.5), (5, 0.75)):
            pairs, objects = by_hand(ours, truth, label, threshold, most)
            if objects == 0:
                assert math.isnan(found.precision[number, label])
                continue
            true = np.cumsum([hit for _, hit in pairs])
            curve = [(n / objects, n / (i + 1)) for i, n in enumerate(true)]
            read = [max((p for r, p in curve if r >= level), default=0.0) for level in np.linspace(0, 1, 101)]
            assert found.precision[number, label] == pytest.approx(np.mean(read))
            assert found.recall[number, label] == pytest.approx(true[-1] / objects if len(true) else 0)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_perfect_detections_score_one_and_worse_ones_less(seed):
    _, truth = drawn(seed)
    if not (truth[..., 5] > 0).any():
        truth[0, 0, 5] = 1
    assert detection_scores(truth, truth, 3).ap == 1
    missed = truth.copy()
    missed[..., 4] = (missed[..., 4] + 1) % 3
    moved = truth.copy()
    moved[..., 0] += 0.6 * moved[..., 2]  # an IoU of 1 / 4 with itself, the first of any that it could be matched with
    nothing = truth * [1, 1, 1, 1, 1, 0]
    assert detection_scores(nothing, truth, 3).ap == 0
    assert detection_scores(moved, truth, 3).ap < 1 and detection_scores(missed, truth, 3).ap < 1
    assert math.isnan(detection_scores(truth, nothing, 3).ap)


def test_neither_the_order_of_rows_nor_empty_rows_matter():
    ours, truth = drawn(3)
    rng = np.random.default_rng(0)
    empty = np.concatenate([rng.random((len(ours), 3, 5)), np.zeros((len(ours), 3, 1))], -1)
    shuffled = rng.permutation(np.concatenate([ours, empty], 1), axis=1)
    np.testing.assert_allclose(
        detection_scores(shuffled, truth, 3).precision, detection_scores(ours, truth, 3).precision
    )


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(1, 12), st.sampled_from([0.0, 0.1, 0.4]))
def test_the_calibration_of_scores_is_that_of_counting_the_likely_ones(seed, bins, likely):
    ours, truth = drawn(seed)
    pairs = [pair for label in range(3) for pair in by_hand(ours, truth, label, 0.5, 100)[0] if pair[0] >= likely]
    groups = {}
    for score, hit in pairs:
        groups.setdefault(min(int(score * bins), bins - 1), []).append(hit - score)
    expected = sum(abs(sum(group)) for group in groups.values()) / len(pairs)
    assert score_calibration(ours, truth, 3, bins=bins, likely=likely) == pytest.approx(expected)


def test_detections_that_are_not_likely_say_nothing_of_calibration():
    ours, truth = drawn(1)
    junk = np.concatenate([np.random.default_rng(0).random((len(ours), 50, 4)), np.zeros((len(ours), 50, 2))], -1)
    junk[..., 5] = 0.01
    assert score_calibration(np.concatenate([ours, junk], 1), truth, 3) == score_calibration(ours, truth, 3)


@pytest.mark.parametrize("samples", [4, 9, 39])
def test_samples_of_the_truths_own_law_cover_it_as_often_as_they_say(samples):
    rng = np.random.default_rng(samples)
    drawn = rng.normal(size=(20_000, samples + 1)) * rng.random((20_000, 1))
    levels = [0.2, 0.6]  # whose ends are whole ranks
    np.testing.assert_allclose(coverage(drawn[:, 1:], drawn[:, 0], levels), levels, atol=0.015)
    narrow, wide = (coverage(scale * drawn[:, 1:], drawn[:, 0], levels) for scale in (0.5, 2))
    assert (narrow < levels).all() and (wide > levels).all()


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(2, 12))
def test_intervals_are_those_of_the_samples_that_are_there(seed, samples):
    rng = np.random.default_rng(seed)
    drawn, levels = rng.normal(size=(3, 4, samples)), [0.3, 0.6, 0.95]
    there = rng.random(drawn.shape) < 0.6
    there[..., :2] = True
    ends = central_intervals(np.where(there, drawn, np.nan), levels, there=there)
    for place in np.ndindex(3, 4):
        own = drawn[place][there[place]]
        for number, level in enumerate(levels):
            for end, share in zip(ends, ((1 - level) / 2, (1 + level) / 2), strict=True):
                assert end[(number, *place)] == pytest.approx(np.quantile(own, share, method="weibull"))
    truth = rng.normal(size=(3, 4))
    inside = [((low <= truth) & (truth <= high)).mean() for low, high in zip(*ends, strict=True)]
    np.testing.assert_allclose(coverage(drawn, truth, levels, there=there), inside)


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([0.3, 0.5, 0.8]))
def test_precision_and_recall_are_those_of_counting_the_likely_ones(seed, likely):
    ours, truth = drawn(seed)
    some = np.where(ours[..., 5:] >= likely, ours, 0.0)
    hits = [hit for label in range(3) for _, hit in by_hand(some, truth, label, 0.5, 100)[0]]
    things = (truth[..., 5] > 0).sum()
    found = answers(ours, truth, 3, likely=likely)
    assert found.recall == pytest.approx(sum(hits) / things)
    if hits:
        assert found.precision == pytest.approx(np.mean(hits))
        assert found.f1 == pytest.approx(2 * sum(hits) / (len(hits) + things))


def test_a_probability_that_is_above_one_by_rounding_is_one():
    above = [1 + 1e-6, 0.5]
    one = expected_calibration_error([1, 0.5], [True, False])
    assert expected_calibration_error(above, [True, False]) == pytest.approx(one, abs=1e-6)


def test_samples_that_are_not_there_need_not_be_numbers():
    assert coverage([[1, 2, 3, np.nan]], [2], [0.5], there=[[True] * 3 + [False]]) == coverage([[1, 2, 3]], [2], [0.5])


def test_answers_of_nothing_and_of_the_truth():
    _, truth = drawn(2)
    assert answers(truth, truth, 3) == (1, 1) and answers(truth, truth, 3).f1 == 1
    nothing = answers(np.zeros_like(truth), truth, 3)
    assert math.isnan(nothing.precision) and nothing.recall == 0 and nothing.f1 == 0


BAD = [
    (
        lambda: detection_scores(np.zeros((2, 3, 5)), np.zeros((2, 3, 6)), 2),
        r"rows \(cx, cy, w, h, label, score\); got",
    ),
    (lambda: detection_scores(np.zeros((2, 3, 6)), np.zeros((1, 3, 6)), 2), "the same images .* got 2 and 1 images"),
    (lambda: detection_scores(np.zeros((2, 3, 6)), np.zeros((2, 3, 6)), 2, most=0), "most at least 1"),
    (lambda: detection_scores(np.full((1, 1, 6), 2.0), np.zeros((1, 1, 6)), 2), "from 0 to 1; got 2 to 2"),
    (lambda: score_calibration(np.zeros((1, 1, 6)), np.zeros((1, 1, 6)), 2), "score of at least 0.1; got none"),
    (
        lambda: detection_scores(np.zeros((1, 1, 6)), np.array([[[0.5, 0.5, 0.2, -0.1, 0, 1]]]), 2),
        r"positive width and height; got \[0.5, 0.5, 0.2, -0.1\]\. Drop",
    ),
    (
        lambda: detection_scores(np.full((2, 1, 6), [[[0.0]], [[np.nan]]]), np.zeros((2, 1, 6)), 2),
        "detections must be finite; image 1 holds",
    ),
    (lambda: expected_calibration_error([0.5], [True], bins=0), "bins must be at least 1; got 0"),
    (lambda: expected_calibration_error([], []), r"n >= 1; got \(0,\)"),
    (lambda: coverage(np.zeros((3, 1)), np.zeros(3)), r"n >= 2 .* got \(3, 1\)"),
    (lambda: central_intervals(np.zeros((3, 1))), r"two or more of each number be there; got \(3, 1\)"),
    (lambda: central_intervals(np.zeros((2, 4)), there=np.eye(2, 4)), "two or more .* Leave out numbers with fewer"),
    (lambda: central_intervals(np.zeros((2, 4)), there=np.ones((1, 4))), r"got \(2, 4\) and \(1, 4\)"),
    (lambda: expected_calibration_error([0.2, 1.7], [True, True]), r"in \[0, 1\]; got 0.2 to 1.7\. Give no logits"),
    (lambda: expected_calibration_error([-0.2], [True]), r"probabilities must lie in \[0, 1\]; got -0.2 to -0.2"),
    (
        lambda: expected_calibration_error([0.5, np.nan], [True, True]),
        "probabilities must be finite; 1 entries are not",
    ),
    (lambda: coverage([[1, 2, np.nan]], [1.5]), "samples must be finite; 1 entries are not"),
    (lambda: coverage([[1, 2, 3]], [np.inf]), "truth must be finite; 1 entries are not"),
    (lambda: central_intervals([[1, 2, -np.inf]], there=[[True] * 3]), "samples must be finite; 1 entries are not"),
    (lambda: coverage(np.zeros((3, 4)), np.zeros(3), [1.0]), r"strictly between 0 and 1; got \[1.0\]"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(1, 5), st.sampled_from([None, 3]))
def test_how_many_images_are_matched_at_once_changes_nothing(seed, together, levels):
    ours, truth = drawn(seed, levels=levels)
    expected = detection_scores(ours, truth, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detections, "_TOGETHER", together)
        found = detection_scores(ours, truth, 3)
    np.testing.assert_array_equal(found.precision, expected.precision)
    np.testing.assert_array_equal(found.recall, expected.recall)
