"""Softmax over the last axis."""

import pytest
import torch

from embodied_gen.softmax import softmax, weighted

pytestmark = pytest.mark.usefixtures("double")


@pytest.mark.parametrize("count", [1, 2, 8, 15, 16, 40])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_values_and_slopes_are_torchs(count, shape, generator):
    logits = (30 * torch.randn(*shape, count, generator=generator)).requires_grad_()
    slope = torch.randn(*shape, count, generator=generator)
    ours, theirs = softmax(logits), logits.softmax(-1)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(x, logits, slope)[0] for x in (ours, theirs)))


def test_logits_of_any_size_and_of_nothing_are_shares():
    shares = softmax(torch.tensor([[1e300, 0.0], [-torch.inf, 3.0]]))
    assert shares.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("count", [3, 20])
def test_second_slopes_are_right(count, generator):
    torch.autograd.gradgradcheck(softmax, torch.randn(2, count, generator=generator, requires_grad=True))


def test_nothing_of_what_is_infinite_is_nothing_and_all_else_is_a_product():
    share = torch.tensor([0.0, 0.0, 0.5, 0.5, 0.0], requires_grad=True)
    log = torch.tensor([-torch.inf, -3.0, -2.0, -torch.inf, torch.inf], requires_grad=True)
    found = weighted(share, log)
    assert found.tolist() == [0, 0, -1, -torch.inf, 0]
    of_share, of_log = torch.autograd.grad(found.sum(), (share, log))
    assert of_share.tolist() == [0, -3, -2, -torch.inf, 0]
    assert of_log.tolist() == [0, 0, 0.5, 0.5, 0]
    assert weighted(torch.zeros(2, 3, 1), torch.full((3, 4), -torch.inf)).equal(torch.zeros(2, 3, 4))
