"""Mean field against its definition, against pydensecrf, and what holds of it."""

import copy
import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from embodied_gen.crf import (
    ByDevice,
    DenseCRF,
    Exact,
    Kernel,
    Nystroem,
    Permutohedral,
    Potts,
    Rows,
    Smooth,
    Symmetric,
    mean_field,
)
from embodied_gen.crf.permutohedral import Lattice
from tests.crf.pictures import channels, noisy_logits, picture

KERNELS = (Kernel(1.5), Kernel(4.0, (30.0, 40.0, 50.0)))
METHODS = {"exact": Exact(), "nystroem": Nystroem(8), "lattice": Permutohedral()}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def crf(classes, method, *, kernels=KERNELS, weights=(2.0, 3.0), **parts):
    return DenseCRF(classes, kernels, weights, method=method, **parts)


def by_hand(logits, image, layer, iterations, normalisation):
    """Mean field by matrices of all pairs, in numpy."""
    height, width, classes = logits.shape
    y, x = np.mgrid[:height, :width]
    place = np.stack([x, y], -1).reshape(-1, 2)
    matrices = []
    for kernel in KERNELS:
        f = place / kernel.position
        if kernel.guide:
            f = np.concatenate([f, image.reshape(-1, 3) / np.array(kernel.guide)], 1)
        k = np.exp(-((f[:, None] - f) ** 2).sum(-1) / 2)
        mass = k.sum(1)
        matrices.append(k / mass[:, None] if normalisation == "rows" else k / np.sqrt(np.outer(mass, mass)))
    weights, agreement = layer.weights.detach().numpy(), layer.agreement.matrix.detach().numpy()
    unary = logits.reshape(-1, classes)
    now = unary
    for _ in range(iterations):
        q = np.exp(now) / np.exp(now).sum(1, keepdims=True)
        now = unary + sum(k @ q * w for k, w in zip(matrices, weights, strict=True)) @ agreement.T
    return now.reshape(logits.shape)


@pytest.mark.parametrize(("name", "normalisation"), [("symmetric", Symmetric()), ("rows", Rows())])
def test_steps_are_those_of_the_definition(double, name, normalisation):
    image = picture(7, 9)
    logits = noisy_logits(image, 4).double()
    layer = crf(4, Exact(), normalisation=normalisation)
    with torch.no_grad():
        layer.weights.add_(torch.rand(2, 4))
        layer.agreement.matrix.add_(0.3 * torch.randn(4, 4))
    found = layer(logits.unsqueeze(0), channels(image), iterations=3)[0].detach()
    np.testing.assert_allclose(found.numpy(), by_hand(logits.numpy(), image, layer, 3, name), rtol=1e-6)


@methods
def test_images_of_a_batch_are_as_alone(method):
    images = [picture(12, 16, seed) for seed in range(3)]
    logits = torch.stack([noisy_logits(image, 3) for image in images])
    guide = torch.cat([channels(image) for image in images])
    layer = crf(3, method)
    with torch.no_grad():
        together = layer(logits, guide)
        alone = torch.cat([layer(a, b) for a, b in zip(logits.split(1), guide.split(1), strict=True)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 5, 21])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_marginals_are_those_of_pydensecrf(classes, seed):
    densecrf = pytest.importorskip("pydensecrf.densecrf")
    image = picture(90, 120, seed)
    logits = noisy_logits(image, classes, seed)
    layer = DenseCRF(classes, agreement=Potts(), method=Permutohedral())
    with torch.no_grad():
        found = layer(logits.unsqueeze(0), channels(image), iterations=5).softmax(-1)[0].flatten(0, 1).T.numpy()
    theirs = densecrf.DenseCRF2D(120, 90, classes)
    theirs.setUnaryEnergy(np.ascontiguousarray(-logits.flatten(0, 1).T.numpy()))
    theirs.addPairwiseGaussian(sxy=3, compat=3)
    theirs.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=10)
    expected = np.array(theirs.inference(5))
    assert np.abs(found - expected).max() < 1e-5
    np.testing.assert_array_equal(found.argmax(0), expected.argmax(0))


@functools.cache
def exact_labels(seed):
    return labels(Exact(), seed)


def labels(method, seed):
    image = picture(80, 120, seed)
    layer = crf(8, method, kernels=(Kernel(3.0), Kernel(30.0, (13.0,) * 3)), weights=(3.0, 10.0), agreement=Potts())
    with torch.no_grad():
        return layer(noisy_logits(image, 8, seed).unsqueeze(0), channels(image), iterations=4).argmax(-1)


@pytest.mark.parametrize(
    ("method", "share"), [(Nystroem(256), 0.99), (Permutohedral(), 0.9)], ids=["nystroem", "lattice"]
)
def test_labels_are_nearly_those_of_the_exact_mean_field(method, share):
    assert (labels(method, 0) == exact_labels(0)).float().mean() >= share


def test_the_method_of_a_cpu_is_the_lattice():
    assert torch.equal(labels(ByDevice(), 0), labels(Permutohedral(), 0))


@settings(max_examples=10)
@given(st.integers(0, 1000), st.floats(0, 5), st.floats(0, 20))
def test_the_free_energy_never_rises_where_kernels_are_positive(seed, smooth, alike):
    image = picture(10, 12, seed)
    for method in (Exact(), Nystroem(6)):
        layer = crf(3, method, weights=(smooth, alike)).double()
        energy = layer.energies(noisy_logits(image, 3).double().unsqueeze(0), channels(image).double(), iterations=8)
        assert (energy.diff(dim=1) < 1e-6 * energy.abs().max()).all()


def test_steps_that_swing_are_stilled_by_damping():
    image = picture(8, 9)
    logits, guide = noisy_logits(image, 2).double().unsqueeze(0), channels(image).double()
    layer = crf(2, Exact(), weights=(-15.0, -15.0)).double()
    swinging, still = (layer.energies(logits, guide, iterations=30, damping=d) for d in (0.0, 0.9))
    assert swinging.diff().abs()[0, -1] > 0.1 or (swinging.diff() > 0.1).any()
    assert (still.diff() < 1e-6).all() and still[0, -1] < swinging[0, -1]


@methods
@pytest.mark.parametrize("damping", [0.0, 0.5])
def test_an_impossible_class_is_one_with_a_logit_far_below_all_others(method, damping):
    image = picture(6, 7)
    low = noisy_logits(image, 3).unsqueeze(0)
    low[0, 2, 3, 1:] = low[0, 4, :, 0] = -1e4  # one pixel is certain, a row is never of class 0
    never = low.masked_fill(low == -1e4, -torch.inf).requires_grad_()
    layer, guide = crf(3, method), channels(image)
    found = layer(never, guide, iterations=4, damping=damping).softmax(-1)
    torch.testing.assert_close(found, layer(low, guide, iterations=4, damping=damping).softmax(-1))
    energies = [layer.energies(logits, guide, iterations=4, damping=damping) for logits in (never.detach(), low)]
    torch.testing.assert_close(*energies)
    found[..., 0].sum().backward()
    assert never.grad.isfinite().all() and layer.weights.grad.isfinite().all()


@methods
def test_gradients_to_all_that_marginals_depend_on(double, method):
    image = picture(4, 5)
    logits, guide = noisy_logits(image, 3).double().unsqueeze(0).requires_grad_(), channels(image)
    # On a lattice the first column lies between simplices, and which it is in, rounding decides: see tests of filters.
    smooth = isinstance(method, Smooth)
    layer = crf(3, method, learn_widths=smooth)
    guide.requires_grad_(smooth)
    names, values = zip(*layer.named_parameters(), strict=True)

    def marginals(logits, guide, *values):
        parts = dict(zip(names, values, strict=True))
        return torch.func.functional_call(layer, parts, (logits, guide), {"iterations": 3}).softmax(-1)

    assert set(names) == {"weights", "agreement.matrix", "log_widths.0", "log_widths.1"}
    assert gradcheck(marginals, (logits, guide, *values), eps=1e-6, atol=1e-6)


def slopes_by_widths(method):
    """Of a cross-entropy, by the logarithm of each width; and central differences with a step of 5 %."""
    image = picture(30, 40)
    logits, guide = noisy_logits(image, 4).double().unsqueeze(0), channels(image)
    truth = torch.tensor(image.astype(int).sum(-1) * 4 // 766).flatten()
    layer = DenseCRF(4, (Kernel(3.0), Kernel(20.0, (20.0,) * 3)), (1.0, 2.0), method=method)

    def loss(*log_widths):
        parts = {f"log_widths.{k}": each for k, each in enumerate(log_widths)}
        found = torch.func.functional_call(layer, parts, (logits, guide), {"iterations": 5})
        return torch.nn.functional.cross_entropy(found.flatten(0, 2), truth)

    at = [each.detach().requires_grad_() for each in layer.log_widths]
    slopes = torch.cat(torch.autograd.grad(loss(*at), at))
    steps = 0.05 * torch.eye(len(slopes))
    with torch.no_grad():
        ends = [[loss(*(torch.cat(at) + sign * step).split([1, 4])) for sign in (1, -1)] for step in steps]
    return slopes, torch.tensor([(up - down) / 0.1 for up, down in ends])


def test_slopes_by_widths_are_those_of_the_exact_mean_field_but_on_a_lattice(double):
    exact, differences = slopes_by_widths(Exact())
    torch.testing.assert_close(exact, differences, rtol=5e-3, atol=1e-5)
    low_rank, lattice = (slopes_by_widths(method)[0] for method in (Nystroem(256), Permutohedral()))
    assert (low_rank - exact).norm() < 0.02 * exact.norm()
    # Why widths are not learned on a lattice: its slopes are those between jumps, here half and more beside the truth.
    assert (lattice - exact).norm() > 0.5 * exact.norm()


@pytest.mark.parametrize("method", [None, Permutohedral()], ids=["by device", "lattice"])
def test_widths_are_learned_only_where_that_is_asked_for_and_never_on_a_lattice(method):
    assert not any(each.requires_grad for each in DenseCRF(2, method=method).log_widths)
    assert all(each.requires_grad for each in DenseCRF(2, method=Nystroem(), learn_widths=True).log_widths)
    name = "ByDevice" if method is None else "Permutohedral"
    with pytest.raises(ValueError, match=f"by method Nystroem or Exact; got {name}, .* or leave learn_widths out"):
        DenseCRF(2, method=method, learn_widths=True)


def test_training_steps_with_fixed_widths_share_the_lattice_of_positions(monkeypatch):
    image, layer, made = picture(11, 13), crf(3, Permutohedral()), []
    of = Lattice.of
    monkeypatch.setattr(Lattice, "of", lambda features: made.append(features.shape[2]) or of(features))
    for _ in range(3):
        layer(noisy_logits(image, 3).unsqueeze(0), channels(image)).log_softmax(-1)[..., 0].mean().backward()
    assert made == [2, 5, 5, 5]


@pytest.mark.parametrize("number", [0, 1, 4])
def test_any_number_of_guide_channels(number):
    kernels = [Kernel(2.0), Kernel(5.0, (0.5,) * number)]
    layer = DenseCRF(3, kernels, [1.0, 1.0])
    found = layer(torch.randn(2, 6, 7, 3), torch.rand(2, number, 6, 7))
    assert found.shape == (2, 6, 7, 3) and found.isfinite().all()


@methods
def test_of_no_images_there_are_no_marginals(method):
    layer, logits, guide = crf(3, method), torch.zeros(0, 4, 5, 3), torch.zeros(0, 3, 4, 5)
    assert layer(logits, guide).shape == (0, 4, 5, 3)
    assert layer.energies(logits, guide, iterations=2).shape == (0, 3)


@methods
def test_a_layer_of_single_precision_keeps_the_digits_of_double_inputs(method):
    # Weights and widths are single; the sums are as exact as the inputs.
    image, layer = picture(8, 9), crf(3, method)
    logits, guide = noisy_logits(image, 3).unsqueeze(0).double(), channels(image).double()
    found, expected = layer(logits, guide), copy.deepcopy(layer).double()(logits, guide)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("classes", [2, 3, 4, 9])
def test_without_weights_nothing_changes(classes):
    image, layer = picture(6, 7), crf(classes, Permutohedral(), weights=(0.0, 0.0))
    logits = noisy_logits(image, classes).unsqueeze(0)
    torch.testing.assert_close(layer(logits, channels(image)), logits)


def test_inputs_that_do_not_fit_are_named():
    layer, logits, guide = crf(3, Permutohedral()), torch.zeros(2, 4, 5, 3), torch.zeros(2, 3, 4, 5)
    with pytest.raises(ValueError, match=r"shape \(B, C, H, W\) = \(2, 3, 4, 5\).*got \(2, 1, 4, 5\)"):
        layer(logits, guide[:, :1])
    with pytest.raises(ValueError, match=r"must be floating point; got torch.uint8. Convert the image with .float\(\)"):
        layer(logits, guide.byte())
    with pytest.raises(ValueError, match=r"logits must have shape \(B, H, W, 3\); got \(2, 4, 5, 2\)"):
        layer(logits[..., :2], guide)
    with pytest.raises(ValueError, match=r"logits must be floating point; got torch\.int64"):
        layer(logits.long(), guide)
    holes = guide.index_fill(0, torch.tensor(1), torch.nan)
    with pytest.raises(ValueError, match=r"guide channels must be finite; image 1 has some .* Fill the holes of depth"):
        layer(logits, holes)
    for wrong in (torch.nan, torch.inf, [-torch.inf] * 3):
        mistaken = logits.clone()
        mistaken[1, 2, 3] = torch.tensor(wrong)
        for asked in (layer, layer.energies):
            with pytest.raises(
                ValueError, match=r"numbers below infinity, .* above minus infinity; image 1 has others\."
            ):
                asked(mistaken, guide)
    for one, other in ((torch.float32, torch.float64), (torch.bfloat16, torch.bfloat16), (torch.half, torch.float32)):
        with pytest.raises(ValueError, match=rf"both torch.float64; got {one} and {other}\. Convert both with \.float"):
            layer(logits.to(one), guide.to(other))
    for asked in (layer, layer.energies):
        with pytest.raises(ValueError, match="iterations must be at least 0; got -2"):
            asked(logits, guide, iterations=-2)
    with pytest.raises(ValueError, match=r"damping must be in \[0, 1\); got 1"):
        mean_field(logits, lambda q: q, iterations=1, damping=1.0)


def test_whole_numbers_are_weights_and_widths_too():
    image, kernels = picture(6, 7), [Kernel(3), Kernel(20, (13, 13, 13))]
    logits, guide = noisy_logits(image, 2).unsqueeze(0), channels(image)
    whole = DenseCRF(2, kernels, [3, 10])
    assert whole(logits, guide).equal(DenseCRF(2, kernels, [3.0, 10.0])(logits, guide))


def test_layers_that_make_no_sense_are_refused():
    with pytest.raises(
        ValueError, match=r"needs at least two classes; got 1\. Count what is beside the class as another"
    ):
        DenseCRF(1)
    with pytest.raises(ValueError, match="a weight for each; got 2 and 1"):
        DenseCRF(2, KERNELS, [1.0])
    for wrong in (math.nan, math.inf):
        with pytest.raises(
            ValueError, match=rf"weights of kernels must be finite; got \[1\.0, {wrong}\]\. Zero leaves"
        ):
            DenseCRF(2, KERNELS, [1.0, wrong])
    with pytest.raises(ValueError, match=r"the same number of guide channels; got \[1, 3\]"):
        DenseCRF(2, [Kernel(1.0, (1.0,)), KERNELS[1]], [1.0, 1.0])
    with pytest.raises(ValueError, match=r"positive and finite; got position 0.0, guide \(1.0,\)"):
        Kernel(0.0, (1.0,))


@methods
def test_products_are_not_narrowed_by_autocast(method):
    # Places and colours of hundreds in bf16 are off by whole deviations.
    image, logits = channels(picture(12, 16)), torch.randn(1, 12, 16, 3, generator=torch.Generator().manual_seed(0))
    layer = crf(3, method)
    q = logits.softmax(-1).flatten(1, 2)

    def asked():
        message = layer.message(logits, image)
        return layer(logits, image, iterations=3), layer.energies(logits, image, iterations=3), message(q)

    plain = asked()
    with torch.autocast("cpu", torch.bfloat16):
        assert all(torch.equal(*pair) for pair in zip(asked(), plain, strict=True))
