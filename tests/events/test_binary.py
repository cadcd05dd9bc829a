import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.blocks.event import BinaryBlock
from embodied_gen.events import Binary


@given(st.floats(-5, 5), st.floats(0.1, 5), st.integers(0, 2**6 - 1))
def test_values_are_coded_as_signs_and_come_back(low, width, bits):
    event = Binary(3, steps=2, low=low, high=low + width)
    on = torch.tensor([(bits >> i) & 1 for i in range(6)]).view(1, 2, 3).bool()
    value = torch.where(on, event.high, event.low)
    x = event.encode(value)
    torch.testing.assert_close(x, torch.where(on, 1.0, -1.0))
    assert event.decode(x + 0.3).equal(value)
    torch.testing.assert_close(event.unscale(x), value)


def test_the_error_is_the_share_of_units_that_differ():
    event = Binary(4)
    x = torch.tensor([[[1.0, -1.0, 1.0, 1.0]]])
    other = torch.tensor([[[1.0, 1.0, 1.0, -1.0]]])
    assert event.error(other, x).item() == 0.5
    assert event.error(x, x).item() == 0


def test_padding_is_left_out_of_the_error():
    event = Binary(2, steps=2)
    x = torch.ones(1, 2, 2)
    other = x.clone()
    other[:, 1] = -1
    assert event.error(other, x, torch.tensor([[True, False]])).item() == 0


def test_a_config_builds_units_of_the_shape_of_its_data():
    event = BinaryBlock(low=-1.0).build(torch.zeros(7, 2, 3))
    assert event.shape == (2, 3) and event.low.tolist() == [-1.0] * 3


def test_other_values_are_refused():
    with pytest.raises(ValueError, match=r"must be 0 or 1; got others\. Round them first"):
        Binary(2).encode(torch.tensor([[[0.0, 0.4]]]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Binary(0), "units and steps must be at least 1; got 0 and 1"),
        (lambda: Binary(2, low=1.0), "low must be below high"),
    ],
)
def test_impossible_units_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
