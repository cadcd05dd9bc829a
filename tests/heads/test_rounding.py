"""Under autocast networks alone are rounded: with exact ones a loss is that of full precision."""

import pytest
import torch
from torch import nn

from embodied_gen import draws
from tests.heads.cases import CASES

# What is rounded are derivatives of networks: by which a divergence is told, and which are punished.
DERIVATIVES = {"continuous", "gan_wasserstein"}


def networks(module):
    """Networks of the library within a module, but not their parts."""
    if type(module).__module__.startswith("embodied_gen.nets."):
        return [module]
    return [net for child in module.children() for net in networks(child)]


def unrounded(method):
    def exact(*arguments, **named):
        with torch.autocast("cpu", enabled=False):
            return method(*arguments, **named)

    return exact


def make_exact(net):
    """All that a network can be asked for is computed in full precision."""
    for name in dir(type(net)):
        own = name == "forward" or not (name.startswith("_") or hasattr(nn.Module, name))
        if own and callable(getattr(type(net), name)):
            setattr(net, name, unrounded(getattr(net, name)))


@pytest.mark.parametrize("case", [case for case in CASES if str(case) not in DERIVATIVES], ids=str)
def test_a_head_with_exact_networks_has_the_same_loss_under_autocast(case):
    (x, c), head, stream = case.batch(), case.head(), draws.generator(0)
    with torch.no_grad():
        for parameter in head.parameters():  # many are zero at first
            parameter.add_(0.1 * draws.normal(parameter.shape, generator=stream, like=parameter))
    for net in networks(head):
        make_exact(net)
    exact = head.loss(x, c, generator=draws.generator(3))
    with torch.autocast("cpu", torch.bfloat16):
        found = head.loss(x, c, generator=draws.generator(3))
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-4)


def test_latents_of_rounded_networks_keep_their_precision_and_energies_are_told_apart():
    """Means of posteriors were quantised by a hundredth, and energies of 60 by a quarter."""
    with torch.autocast("cpu", torch.bfloat16):
        for name in ("vae", "hierarchical_vae"):
            case = next(case for case in CASES if str(case) == name)
            (x, c), head = case.batch(), case.head()
            assert head._log_weight(x, c, x.new_zeros(len(x), 1, head._posterior_numbers), None).dtype == x.dtype
