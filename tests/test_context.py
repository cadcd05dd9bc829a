import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import context


def mapping(contexts=3):
    g = torch.Generator().manual_seed(1)
    return {"state": torch.randn(contexts, 4, generator=g), "image": torch.randn(contexts, 2, 5, 5, generator=g)}


CONTEXTS = {"tensor": lambda n=3: mapping(n)["state"], "mapping": mapping}
EVERY = pytest.mark.parametrize("name", CONTEXTS)


def leaves(c):
    return [c] if isinstance(c, torch.Tensor) else list(c.values())


def assert_equal(left, right):
    assert type(left) is type(right)
    assert [*left] == [*right] if isinstance(left, dict) else True
    for one, other in zip(leaves(left), leaves(right), strict=True):
        assert torch.equal(one, other)


@EVERY
@pytest.mark.parametrize("contexts", [0, 1, 7])
def test_the_size_is_the_length_of_the_first_axis(name, contexts):
    assert context.size(CONTEXTS[name](contexts)) == contexts


@EVERY
@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 4), contexts=st.integers(0, 4))
def test_repetition_puts_the_rows_of_a_context_together(name, n, contexts):
    c = CONTEXTS[name](contexts)
    repeated = context.repeat(c, n)
    assert context.size(repeated) == contexts * n
    for leaf, rows in zip(leaves(c), leaves(repeated), strict=True):
        for b in range(contexts):
            assert (rows[b * n : (b + 1) * n] == leaf[b]).all()


@EVERY
def test_repetition_composes(name):
    c = CONTEXTS[name]()
    assert_equal(context.repeat(context.repeat(c, 2), 3), context.repeat(c, 6))
    assert_equal(context.repeat(c, 1), c)


@EVERY
def test_blank_rows_are_zero_in_every_leaf_and_the_others_unchanged(name):
    c = CONTEXTS[name]()
    where = torch.tensor([True, False, True])
    blank = context.blank(c, where)
    for leaf, rows in zip(leaves(c), leaves(blank), strict=True):
        assert (rows[where] == 0).all()
        assert torch.equal(rows[~where], leaf[~where])
        assert (leaf != 0).all()  # the original is left alone
    assert_equal(context.blank(c, torch.zeros(3, dtype=torch.bool)), c)
    assert_equal(context.blank(blank, where), blank)


def test_a_blank_hides_numbers_that_are_not_finite():
    c = torch.tensor([[torch.nan], [torch.inf], [1.0]])
    assert context.blank(c, torch.tensor([True, True, False])).flatten().tolist() == [0, 0, 1]


@EVERY
def test_blanks_commute_with_repetition(name):
    c, where = CONTEXTS[name](), torch.tensor([True, False, True])
    assert_equal(
        context.repeat(context.blank(c, where), 2), context.blank(context.repeat(c, 2), where.repeat_interleave(2))
    )


@EVERY
def test_concatenation_undoes_slicing(name):
    c = CONTEXTS[name]()
    parts = [context.apply(lambda leaf, i=i: leaf[i : i + 1], c) for i in range(3)]
    assert_equal(context.concatenate(parts), c)
    assert context.size(context.concatenate([c, c])) == 6


@EVERY
def test_a_function_is_applied_to_every_leaf_and_keeps_the_structure(name):
    c = CONTEXTS[name]()
    doubled = context.apply(lambda leaf: 2 * leaf, c)
    assert type(doubled) is type(c)
    for leaf, result in zip(leaves(c), leaves(doubled), strict=True):
        assert torch.equal(result, 2 * leaf)


@pytest.mark.parametrize(
    ("c", "got"),
    [
        ({"state": torch.zeros(3, 2), "image": torch.zeros(4, 2)}, "'state': 3, 'image': 4"),
        ({"state": torch.zeros(3, 2), "time": torch.tensor(1.0)}, "'state': 3, 'time': 0"),
        ({}, "{}"),
    ],
)
def test_leaves_that_disagree_about_the_number_of_contexts_are_named(c, got):
    with pytest.raises(ValueError, match="same number of contexts; got") as error:
        context.size(c)
    assert got in str(error.value)
    assert "common first axis" in str(error.value)
