"""Paths over a map: cells and metres, padding, and what is no path."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.events import GridPath
from embodied_gen.graphs import Finite, Grid, Soft, sampled


def event(**options):
    return GridPath(Grid(3, 5, **options), 6, cell=0.5, origin=(-1.0, 2.0))


def states_of(of, seed, rows=4):
    starts = torch.zeros(1, rows, dtype=torch.long)
    costs = torch.zeros(1, *of.grid.actions)
    return sampled(Finite(of.moves), of.grid, costs, starts, Soft(), generator=draws.generator(seed)).states[0]


@given(seed=st.integers(0, 1000), connectivity=st.sampled_from([4, 8, 16]))
@settings(max_examples=20)
def test_decoding_gives_back_the_centres_wherever_in_its_cell_a_point_was(seed, connectivity):
    of = event(connectivity=connectivity)
    centres = of.centres(states_of(of, seed))
    shift = 0.49 * 0.5 * draws.normal(centres.shape, generator=draws.generator(seed), like=centres).clamp(-1, 1)
    x = of.encode(centres + shift)
    assert x.abs().max() <= 1
    torch.testing.assert_close(of.decode(x), centres)
    torch.testing.assert_close(of.unscale(x), centres)
    assert torch.equal(of.states(x), states_of(of, seed))
    assert (of.error(x, x) == 0).all()


def test_columns_run_along_x_and_rows_along_y_from_the_lower_left():
    of = event()
    assert of.centres(torch.tensor([0, 4, 10])).tolist() == [[-0.75, 2.25], [1.25, 2.25], [-0.75, 3.25]]
    assert of.located(torch.tensor([[1.2, 3.3]]), "goal").item() == 14
    assert of.low.tolist() == [-1.0, 2.0] and of.high.tolist() == [1.5, 3.5]


def test_short_paths_are_padded_with_their_last_way_point():
    of = event()
    paths = [of.centres(torch.tensor(cells)) for cells in ([0, 1, 7], [3], list(range(5)))]
    value = of.padded(paths)
    assert value.shape == (3, 7, 2)
    assert of.states(of.encode(value)).tolist() == [[0, 1] + [7] * 5, [3] * 7, [0, 1, 2, 3, 4, 4, 4]]
    with pytest.raises(ValueError, match=r"n from 1 to 7; demonstration 1 has \(8, 2\)"):
        of.padded([paths[0], torch.zeros(8, 2)])


def test_way_points_outside_are_decoded_to_the_rim():
    of = event()
    x = of.scale(torch.tensor([[[-9.0, 9.0]] * 7]))
    assert of.decode(x)[0, 0].tolist() == [-0.75, 3.25]


def test_transitions_are_the_moves_that_lead_there():
    of = event(connectivity=4, stay=True)
    options, leads = of.transitions(torch.tensor([[0, 1, 1, 6, 6, 6, 6]]))
    chosen = options[leads].tolist()
    assert [of.grid.moves[action // 15] for action in chosen] == [(0, 1), (0, 0), (1, 0), (0, 0), (0, 0), (0, 0)]
    # With slip a move that would leave the map stays: three ways to stay in a corner.
    _, leads = event(connectivity=4, slip=0.2, stay=True).transitions(torch.zeros(1, 7, dtype=torch.long))
    assert leads.sum(-1).tolist() == [[3] * 6]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            [(0, 0), (0, 1), (0, 3)],
            r"demonstration 1 jumps after step 1: no move leads from cell \(0, 1\) to cell \(0, 3",
        ),
        ([(0, 0), (1, 1)], r"demonstration 1 jumps after step 0: no move leads from cell \(0, 0\) to cell \(1, 1\)"),
        ([(0, 0), (0, 0), (0, 1)], r"demonstration 1 stands still in cell \(0, 0\) after step 0 and goes on"),
        ([(0, 0), (0, 1), (-1, 1)], r"demonstration 1 leaves the map of 3 x 5 cells .* at step 2, where it is at"),
        ([(2, 4), (2, 5)], r"demonstration 1 leaves the map of 3 x 5 cells .* at step 1"),
    ],
)
def test_what_is_no_path_is_named_with_its_step(cells, message):
    of = event(connectivity=4)
    value = torch.tensor([[(-1 + 0.5 * (j + 0.5), 2 + 0.5 * (i + 0.5)) for i, j in cells]])
    value = torch.cat([value, value[:, -1:].expand(-1, 7 - len(cells), -1)], 1)
    good = of.centres(torch.zeros(1, 7, dtype=torch.long))
    with pytest.raises(ValueError, match=message):
        of.encode(torch.cat([good, value]))
    if cells[1] == cells[0]:
        event(connectivity=4, stay=True).encode(value)  # where there is a stay, it is a move


def test_a_point_that_is_no_number_leaves_the_map():
    of = event()
    value = of.centres(torch.zeros(1, 7, dtype=torch.long))
    value[0, 3, 1] = torch.nan
    with pytest.raises(ValueError, match=r"demonstration 0 leaves the map .* at step 3"):
        of.encode(value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GridPath(Grid(2, 2), 0), "at least one move; got 0"),
        (lambda: GridPath(Grid(2, 2), 3, cell=0.0), "must be positive and finite; got 0.0"),
        (lambda: event().encode(torch.zeros(1, 6, 2)), r"value must have shape \(B, 7, 2\); got \(1, 6, 2\)"),
        (lambda: event().located(torch.tensor([[9.0, 9.0]]), "start"), "start 0 must lie on the map of 3 x 5 cells"),
    ],
)
def test_impossible_numbers_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
