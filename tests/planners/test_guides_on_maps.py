"""Guide files are followed by heads over paths on a map: way-points are metres like any other."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.events import GridPath
from embodied_gen.graphs import Grid
from embodied_gen.heads import LearchHead, MarginHead, MaxEntHead
from embodied_gen.nets import LinearMap, Positive
from planners import read_guide, smallest_margin

FILE = """
constraints:
  - {kind: keep_out_disc, centre: [2.0, 2.0], radius: 0.6}
costs:
  - {kind: target_point, point: [2.0, 3.75], unit: 0.5}
scale: 1.0
"""
HEADS = {
    "max_ent": lambda e: MaxEntHead(e, Positive(LinearMap(channels_in=1), floor=1.0)),
    "margin": lambda e: MarginHead(e, Positive(LinearMap(channels_in=1)), explore=1.0),
    "learch": lambda e: LearchHead(e, LinearMap(channels_in=1), explore=1.0),
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_guide_file_turns_paths_away_from_a_disc(kind, tmp_path):
    path = tmp_path / "guide.yaml"
    path.write_text(FILE)
    guide, constraints = read_guide(path).build(0.5)
    event = GridPath(Grid(8, 8), 14, cell=0.5)
    head = HEADS[kind](event)
    ends = event.centres(torch.tensor([[0, 63]]))  # the straight way leads through the disc
    c = {"layers": torch.ones(1, 1, 8, 8), "start": ends[:, 0], "goal": ends[:, 1]}
    free = event.unscale(head.sample(c, 16, generator=draws.generator(0)))
    told = head.certified(c, 16, generator=draws.generator(0), guide=guide)
    y = event.unscale(told.x)
    torch.testing.assert_close(told.margin, smallest_margin(constraints, y))
    assert told.feasible.all() and (smallest_margin(constraints, free) < 0).any()
    assert event.states(told.x[0]).shape == (16, 15)  # what is kept is still a path
