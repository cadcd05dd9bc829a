"""Networks of detectors: what is read under a box, pyramids, decoders of any number of boxes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from embodied_gen.nets import BoxDecoder, BoxQueries, DenseBoxes, FeaturePyramid
from embodied_gen.nets.roi_align import pyramid_of, roi_align

seeds = st.integers(0, 10_000)
SIZES = [(24, 32), (12, 16), (6, 8)]
WIDTH, CLASSES = 16, 3


def stream(seed):
    return torch.Generator().manual_seed(seed)


def levels(seed=0, images=2, channels=WIDTH, sizes=SIZES):
    """Levels by name, as an image encoder gives them."""
    g = stream(seed)
    return {f"level{i}": torch.randn(images, channels, *size, generator=g) for i, size in enumerate(sizes)}


def ends(seed, images=2, count=10, inside=False):
    """Corners; with `inside` at least half a pixel of the coarsest level away from the rim."""
    g = stream(seed)
    size = 0.05 + 0.5 * torch.rand(images, count, 2, generator=g)
    free = 1 - size - (0.2 if inside else 0)
    first = (0.1 if inside else 0) + free * torch.rand(images, count, 2, generator=g)
    return torch.cat([first, first + size], -1)


def linear(sizes, slopes):
    """Levels of an image that is linear in the place, read at the middles of pixels; `(1, C, H, W)`."""
    made = []
    for rows, columns in sizes:
        y, x = (torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns
        made.append(torch.stack([a * x + b * y[:, None] + c for a, b, c in slopes])[None])
    return made


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 7), st.integers(1, 3))
def test_what_is_read_of_a_linear_image_is_exact(seed, size, points):
    slopes = torch.randn(4, 3, generator=stream(seed)).tolist()
    boxes = ends(seed, images=1, inside=True)
    read = roi_align(pyramid_of(linear(SIZES, slopes)), boxes, size=size, points=points)
    share = (torch.arange(size) + 0.5) / size
    x, y = (boxes[0, :, i : i + 1] + (boxes[0, :, i + 2 : i + 3] - boxes[0, :, i : i + 1]) * share for i in (0, 1))
    expected = [a * x[:, None] + b * y[:, :, None] + c for a, b, c in slopes]
    torch.testing.assert_close(read[0], torch.stack(expected, -1).flatten(1, 2), rtol=1e-4, atol=1e-4)


def by_loop(level, box, size, points):
    """One box of one image on one level, point by point, `(C, s, s)`."""
    rows, columns = level.shape[1:]
    read = torch.zeros(len(level), size, size)
    for i in range(size * points):
        for j in range(size * points):
            x = (box[0] + (box[2] - box[0]) * (j + 0.5) / (size * points)).item() * columns - 0.5
            y = (box[1] + (box[3] - box[1]) * (i + 0.5) / (size * points)).item() * rows - 0.5
            x, y = min(max(x, 0), columns - 1), min(max(y, 0), rows - 1)
            for row in (math.floor(y), math.floor(y) + 1):
                for column in (math.floor(x), math.floor(x) + 1):
                    weight = max(1 - abs(y - row), 0) * max(1 - abs(x - column), 0)
                    if weight > 0:
                        read[:, i // points, j // points] += weight * level[:, row, column]
    return read / points**2


@settings(max_examples=8, deadline=None)
@given(seeds, st.sampled_from([(24, 32), (1, 5), (5, 1), (1, 1)]))
def test_what_is_read_is_what_the_loop_reads_within_the_image_and_beyond(seed, size):
    level = torch.randn(2, 3, *size, generator=stream(seed))
    boxes = ends(seed, count=3) * 1.4 - 0.2
    read = roi_align(pyramid_of([level]), boxes, size=3, points=2)
    expected = [
        [by_loop(image, box, 3, 2).flatten(1).T for box in some] for image, some in zip(level, boxes, strict=True)
    ]
    torch.testing.assert_close(read, torch.stack([torch.stack(some) for some in expected]), rtol=1e-4, atol=1e-4)


def test_a_box_is_read_at_the_level_whose_pixels_are_as_large_as_its_cells():
    # Levels that hold their own number, so that what is read says which it was.
    marked = [torch.full((1, 1, 64 // 2**i, 64 // 2**i), float(i)) for i in range(4)]
    sides = torch.tensor([0.01, 4 / 64, 8 / 64, 16 / 64, 32 / 64, 1.0])
    boxes = torch.stack([0 * sides, 0 * sides, sides, sides], -1)[None]
    read = roi_align(pyramid_of(marked), boxes, size=4)
    assert read.mean((2, 3))[0].round().tolist() == [0, 0, 1, 2, 3, 3]


def test_slopes_of_what_is_read_are_those_of_finite_differences(double):
    boxes = ends(1).double()

    def read(table, boxes):
        return roi_align(pyramid_of([table]), boxes, size=2)

    level = torch.randn(2, 2, 6, 7, generator=stream(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(read, (level.requires_grad_(), boxes.requires_grad_()))


@pytest.mark.parametrize("size", [(120, 160), (64, 80), (33, 47), (16, 16)])
def test_pyramids_take_any_size_and_images_do_not_meet(size):
    pyramid = FeaturePyramid(width=16, stages=(8, 16, 24)).eval()
    images = torch.rand(3, 3, *size, generator=stream(0)) * 2 - 1
    found = pyramid(images)
    for i, level in enumerate(found):
        assert level.shape == (3, 16, *(math.ceil(n / 4 / 2**i) for n in size))
    for both, one in zip(found, pyramid(images[1:2]), strict=True):
        torch.testing.assert_close(both[1:2], one, rtol=1e-3, atol=1e-4)


def boxes_of(net, seed=1, rows=2, count=12):
    return torch.randn(rows, count, 4 + CLASSES, generator=stream(seed)).clamp(-2, 2)


def stirred(net):
    """With weights away from zero, as after some training."""
    g = stream(3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=g))
    return net


def decoder(**options):
    return BoxDecoder(**({"classes": CLASSES, "width": WIDTH, "depth": 2, "dynamic": 4, "size": 3} | options))


def test_a_decoder_takes_any_number_of_boxes_in_any_order():
    net, c, t = stirred(decoder()), levels(), torch.tensor([0.3, 0.8])
    for count in (1, 12, 300):
        x = boxes_of(net, count=count)
        order = torch.randperm(count, generator=stream(2))
        y = net(x, t, c)
        assert y.shape == x.shape and y.isfinite().all()
        torch.testing.assert_close(net(x[:, order], t, c), y[:, order], rtol=1e-3, atol=1e-3)


def test_a_decoder_reads_boxes_time_and_image_and_no_scores_or_other_images():
    net, c, t, x = stirred(decoder()), levels(), torch.tensor([0.3, 0.8]), boxes_of(None)
    y = net(x, t, c)
    other = torch.cat([x[..., :4], -x[..., 4:]], -1)
    assert torch.equal(net(other, t, c), y)
    assert not torch.allclose(net(x.flip(0), t, c), y)
    assert not torch.allclose(net(x, t.flip(0), c), y, atol=1e-5)
    second = {name: torch.cat([level[:1], -level[1:]]) for name, level in c.items()}
    changed = net(x, t, second)
    torch.testing.assert_close(changed[0], y[0], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(changed[1], y[1])


def test_a_diverged_network_gives_numbers_that_are_none_and_no_wrong_index():
    net, x = decoder(), boxes_of(None)
    with torch.no_grad():
        net.cascade[0].deltas[-1].bias.fill_(math.nan)
    assert net(x, torch.ones(2), levels()).isnan().any()
    x[0, 0] = math.nan
    assert net(x, torch.ones(2), levels()).isnan().any()


def test_stages_improve_what_they_get_without_a_slope_and_the_last_is_the_networks():
    net, c, t, x = stirred(decoder(depth=3)), levels(), torch.tensor([0.3, 0.8]), boxes_of(None)
    stages = net.stages(x, t, c)
    assert stages.shape == (3, *x.shape)
    assert torch.equal(net(x, t, c), stages[-1])
    before = net.cascade[0].deltas[-1].weight
    (slope,) = torch.autograd.grad(stages[1][..., :4].sum(), before, allow_unused=True)
    assert slope is None or (slope == 0).all()


@pytest.mark.parametrize("classes", [1, 3, 4, 80])
def test_scores_start_at_one_in_a_hundred_and_boxes_where_they_are_for_any_number_of_classes(classes):
    net = decoder(classes=classes, depth=1)
    x = torch.rand(2, 12, 4 + classes, generator=stream(1)) - 0.5
    y = net(x, torch.ones(2), levels())
    torch.testing.assert_close(y[..., :4], x[..., :4], rtol=1e-4, atol=1e-4)
    score = (y[..., 4:] / 2 + 1) / 2
    assert score.median().item() == pytest.approx(0.01, abs=0.006)


def in_shares(x, signal, sides):
    """Boxes of sets in model units, shares of the image."""
    return (x[..., :4] / signal + 1) / 2 * torch.tensor([1.0, 1.0, *sides])


@pytest.mark.parametrize("signal", [2.0, 3.0])
def test_the_extent_changes_model_units_and_not_the_boxes_that_are_looked_at(signal):
    sides = (0.3, 0.5)
    net, sized = (stirred(decoder(signal=signal, extent=extent)) for extent in ((1.0, 1.0), sides))
    sized.load_state_dict(net.state_dict() | {"extent": sized.extent})
    c, t, x = levels(), torch.tensor([0.3, 0.8]), boxes_of(None).clamp(-1, 0)
    other = torch.cat([x[..., :2], signal * (2 * in_shares(x, signal, (1, 1))[..., 2:] / torch.tensor(sides) - 1)], -1)
    first, second = net(x, t, c), sized(torch.cat([other, x[..., 4:]], -1), t, c)
    torch.testing.assert_close(in_shares(second, signal, sides), in_shares(first, signal, (1, 1)), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(second[..., 4:], first[..., 4:], rtol=1e-3, atol=1e-3)


def test_boxes_larger_than_the_extent_are_looked_at_as_they_are_and_none_beyond_the_image():
    net = decoder(depth=1, extent=(0.2, 0.25))
    x = torch.zeros(2, 2, 4 + CLASSES)
    x[:, 0, 2:4] = torch.tensor([2 * (2 * 0.8 / 0.2 - 1), 2 * (2 * 0.9 / 0.25 - 1)])
    x[:, 1, :4] = 100.0
    shares = in_shares(net(x, torch.ones(2), levels()), 2.0, (0.2, 0.25))  # before training boxes stay where they are
    torch.testing.assert_close(shares[:, 0], torch.tensor([0.5, 0.5, 0.8, 0.9]).expand(2, 4), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(shares[:, 1], torch.ones(2, 4), rtol=1e-4, atol=1e-4)


def test_queries_start_as_large_as_boxes_from_noise():
    sides = torch.tensor([0.2, 0.4])
    queries = BoxQueries(count=4000, classes=CLASSES, width=WIDTH, extent=(0.2, 0.4))
    share = queries.boxes[:, 2:] / sides
    assert (share >= 0.25).all() and (share <= 0.75).all()
    torch.testing.assert_close(share.mean(0), torch.full((2,), 0.5), atol=0.01, rtol=0)


def test_queries_read_nothing_of_the_set_but_its_size():
    net, c, t, x = (
        stirred(BoxQueries(count=12, classes=CLASSES, width=WIDTH, depth=2)),
        levels(),
        torch.zeros(2),
        boxes_of(None),
    )
    assert torch.equal(net(x, t, c), net(-x, t, c))
    (slope,) = torch.autograd.grad(net.stages(x, t, c)[0].sum(), net.boxes)
    assert (slope != 0).any()
    with pytest.raises(ValueError, match="has learned 12 boxes; got sets of 5"):
        net(x[:, :5], t, c)


def test_dense_boxes_lie_around_their_pixels_and_move_with_the_image():
    net = DenseBoxes(classes=CLASSES, levels=1, width=WIDTH)
    pixel = torch.zeros(1, WIDTH, 9, 12)
    pixel[0, :, 3, 4] = 3
    x = torch.zeros(1, 108, 4 + CLASSES)
    y = ((net(x, torch.zeros(1), {"level0": pixel}) / 2 + 1) / 2).view(9, 12, -1)
    moved = ((net(x, torch.zeros(1), {"level0": pixel.roll((2, 3), (2, 3))}) / 2 + 1) / 2).view(9, 12, -1)
    shift = torch.tensor([3 / 12, 2 / 9])
    inner = y[2:5, 3:6]
    torch.testing.assert_close(moved[4:7, 6:9, :2], inner[..., :2] + shift, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(moved[4:7, 6:9, 2:], inner[..., 2:], rtol=1e-3, atol=1e-3)
    own = torch.stack(torch.meshgrid((torch.arange(12) + 0.5) / 12, (torch.arange(9) + 0.5) / 9, indexing="xy"), -1)
    assert (y[..., :2] - own).abs().max() < 0.3


C, T = levels(), torch.zeros(2)
BAD = [
    (
        lambda: FeaturePyramid()(torch.zeros(2, 1, 32, 32)),
        r"images must have shape \(B, 3, H, W\).*got \(2, 1, 32, 32\)",
    ),
    (lambda: FeaturePyramid()(torch.zeros(2, 3, 32, 8)), r"16 pixels a side or more; got \(2, 3, 32, 8\)"),
    (lambda: FeaturePyramid(stages=(12, 16)), r"positive multiples of 8.*got 64 and \[12, 16\]"),
    (lambda: decoder(heads=3), "width must be a multiple of heads=3"),
    (lambda: decoder(classes=0), "classes must be >= 1; got 0"),
    (lambda: decoder(signal=0.0), "signal must be positive; got 0"),
    (lambda: decoder(points=0), "points must be >= 1; got 0"),
    (lambda: decoder(extent=(0.0, 1.0)), r"extent must be a width and a height, both positive; got \[0.0, 1.0\]"),
    (lambda: decoder()(torch.zeros(2, 5, 4), T, C), r"shapes \(M, N, 7\) and \(M,\); got \(2, 5, 4\)"),
    (lambda: decoder()(torch.zeros(2, 5, 7), T, T), r"levels of shape \(2, 16, H, W\) by name; got a tensor"),
    (lambda: decoder(width=32)(torch.zeros(2, 5, 7), T, C), r"levels of shape \(2, 32, H, W\).*level0"),
    (lambda: DenseBoxes(classes=CLASSES, levels=3, width=12), "multiple of 8.*got 12"),
    (
        lambda: DenseBoxes(classes=CLASSES, levels=3, width=WIDTH)(torch.zeros(2, 5, 7), T, C),
        r"shape \(M, 1008, 7\), a slot for each pixel of 3 levels; got \(2, 5, 7\)",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_levels_of_another_resolution_are_read_alike():
    # A smooth image at twice the pixels: what lies under a box is the same thing.
    boxes = ends(4, images=1)
    coarse = functional.interpolate(torch.randn(1, 4, 3, 4, generator=stream(5)), size=(24, 32), mode="bicubic")
    fine = functional.interpolate(coarse, scale_factor=2, mode="bilinear")
    first, second = (roi_align(pyramid_of([level]), boxes, size=4, points=2) for level in (coarse, fine))
    assert (first - second).abs().mean() < 0.05 * first.std()
