"""The average follows its recursion."""

import pytest
import torch
from torch import nn

from embodied_gen.training.average import Average


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_it_equals_the_recursion_written_out(decay, double):
    module = nn.Linear(3, 2)
    average = Average(module, decay)
    expected = [parameter.detach().clone() for parameter in module.parameters()]
    for step in range(30):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update(step)
        d = min(decay, (1 + step) / (10 + step))
        expected = [
            old + (1 - d) * (new.detach() - old) for old, new in zip(expected, module.parameters(), strict=True)
        ]
    for mine, truth in zip(average.module.parameters(), expected, strict=True):
        torch.testing.assert_close(mine.detach(), truth, rtol=1e-12, atol=1e-12)


def test_it_is_a_copy_that_asks_for_no_gradient_and_leaves_the_original_alone():
    module = nn.BatchNorm1d(2)
    average = Average(module, 0.9)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    average.update(0)
    assert not any(parameter.requires_grad for parameter in average.module.parameters())
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(module.state_dict()[name].equal(value) for name, value in before.items())
    assert average.module.running_mean is not module.running_mean
