"""Label maps: one-hot maps, probabilities, and the score of an estimate."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.events import InstanceMap, LabelMap
from embodied_gen.events.labels import UNLABELLED


def random_labels(seed, rows=4, shape=(3, 5), classes=4):
    g = draws.generator(seed)
    return (draws.uniform((rows, *shape), generator=g, like=torch.zeros(())) * classes).long()


@given(seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_decoding_gives_back_the_labels(seed):
    event, label = LabelMap(3, 5, 4), random_labels(seed)
    x = event.encode(label)
    assert x.shape == (4, 3, 5, 4)
    assert torch.equal(event.decode(x), label)
    assert torch.equal(event.unscale(x).sum(-1), torch.ones(4, 3, 5))
    torch.testing.assert_close(event.scale(event.unscale(x)), x)


def test_the_error_is_zero_at_equality_and_two_where_all_is_wrong():
    event, label = LabelMap(3, 5, 4), random_labels(1)
    x = event.encode(label)
    assert (event.error(x, x) == 0).all()
    torch.testing.assert_close(event.error(event.encode((label + 1) % 4), x), torch.full((4,), 2.0))


def test_the_expected_error_is_least_at_the_true_probabilities():
    event, truth = LabelMap(1, 1, 3), torch.tensor([0.2, 0.5, 0.3])
    every = event.encode(torch.arange(3).view(3, 1, 1))
    x_hat = torch.zeros(1, 1, 3, requires_grad=True)
    optimizer = torch.optim.SGD([x_hat], lr=0.5)
    for _ in range(100):
        optimizer.zero_grad()
        (truth * event.error(x_hat.expand(3, 1, 1, 3), every)).sum().backward()
        optimizer.step()
    torch.testing.assert_close(event.unscale(x_hat.detach()).flatten(), truth)


def test_padding_is_left_out_of_the_error():
    event, label = LabelMap(3, 5, 4), random_labels(1)
    x, other = event.encode(label), event.encode((label + 1) % 4)
    valid = random_labels(2, classes=2).bool()
    wrong = torch.where(valid.unsqueeze(-1), x, other)
    assert (event.error(wrong, x, valid) == 0).all() and (event.error(wrong, x) > 0).all()
    torch.testing.assert_close(event.error(other, x, valid), torch.full((4,), 2.0))


def test_cells_without_a_label_have_no_class_and_are_compared_with_nothing():
    event, label = LabelMap(3, 5, 4), random_labels(1)
    known = random_labels(2, classes=2).bool()
    x = event.encode(torch.where(known, label, UNLABELLED))
    assert torch.equal(event.labelled(x), known) and event.labelled(event.encode(label)).all()
    assert torch.equal(event.unscale(x).sum(-1), known.float())
    estimate = torch.randn(x.shape, generator=draws.generator(0))
    torch.testing.assert_close(event.error(estimate, x), event.error(estimate, event.encode(label), known))
    valid = random_labels(3, classes=2).bool()
    torch.testing.assert_close(
        event.error(estimate, x, valid), event.error(estimate, event.encode(label), known & valid)
    )
    nothing = event.encode(torch.full((1, 3, 5), UNLABELLED))
    assert event.error(estimate[:1], nothing).item() == 0


def test_what_an_estimate_lacks_is_as_large_on_the_whole_as_where_there_are_labels():
    event, label = LabelMap(3, 5, 4), random_labels(1)
    estimate = torch.randn(4, 3, 5, 4, generator=draws.generator(0))
    x = event.encode(label)
    torch.testing.assert_close(event.residual(estimate, x), x - estimate)
    known = random_labels(2, classes=2).bool()
    lacking = event.residual(estimate, event.encode(torch.where(known, label, UNLABELLED)))
    assert (lacking[~known] == 0).all()
    for row in range(4):
        own = (x - estimate)[row][known[row]].square().mean()
        torch.testing.assert_close(lacking[row].square().mean(), own)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int64])
def test_labels_of_any_type_are_encoded_where_there_are_more_than_a_byte_holds(kind):
    label = torch.tensor([[[0, 50, 120]]], dtype=kind)
    for event in (LabelMap(1, 3, 301), InstanceMap(1, 3, 300)):
        assert event.decode(event.encode(label)).tolist() == [[[0, 50, 120]]]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (torch.zeros(4, 5, 3, dtype=torch.long), r"labels must have shape \(B, 3, 5\); got \(4, 5, 3\)"),
        (
            torch.full((1, 3, 5), 4),
            r"integers from 0 to 3; got torch.int64 from 4 to 4\. Mark cells without a label by -100, or build .* more",
        ),
        (torch.full((1, 3, 5), -1), "got torch.int64 from -1 to -1"),
        (torch.zeros(1, 3, 5), "got torch.float32 from 0.0 to 0.0"),
    ],
)
def test_wrong_labels_are_refused(label, message):
    with pytest.raises(ValueError, match=message):
        LabelMap(3, 5, 4).encode(label)


@pytest.mark.parametrize("sizes", [(0, 5, 4), (3, 0, 4), (3, 5, 1)])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match=r"at least one cell and two classes; got .* Count what is beside the class"):
        LabelMap(*sizes)
