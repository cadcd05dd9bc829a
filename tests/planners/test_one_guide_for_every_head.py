"""One guide file, read once, is followed by every head unchanged; it is certified by the constraints themselves."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.events import Path, Trajectory
from planners import read_guide, smallest_margin
from tests.heads.batches import batch
from tests.heads.cases import CASES

FILE = """
buffer: 0.02
constraints:
  - {kind: keep_in_box, low: [-0.6, 1.0], high: [0.5, 4.2]}
  - {kind: keep_out_disc, centre: [0.1, 2.2], radius: 0.3}
  - {kind: speed_limit, limit: 30.0}
costs:
  - {kind: target_point, point: [-0.3, 3.0], unit: 0.5}
scale: 2.0
"""
PERIOD = 0.1


@pytest.fixture
def read(tmp_path):
    path = tmp_path / "guide.yaml"
    path.write_text(FILE)
    return read_guide(path).build(PERIOD)


# A guide on positions says nothing of units that are on or off, of label maps and of outlines.
POSITIONS = [case for case in CASES if isinstance(case.head().event, Trajectory | Path)]


@pytest.mark.parametrize("case", POSITIONS, ids=str)
def test_a_guide_file_runs_unchanged_on_every_head(case, read):
    guide, constraints = read
    head, (_, c) = case.head(), batch()
    free = head.event.unscale(head.sample(c, 8, generator=draws.generator(0)))
    answer = head.certified(c, 8, generator=draws.generator(0), guide=guide)
    y = head.event.unscale(answer.x)
    exact = smallest_margin(constraints, y)
    assert y.shape == free.shape and y.isfinite().all()
    torch.testing.assert_close(answer.margin, exact)
    assert answer.feasible.equal(exact >= 0)
    assert answer.feasible.sum() >= (smallest_margin(constraints, free) >= 0).sum()
    some = answer.feasible.any(1)
    torch.testing.assert_close(answer.weight.sum(1), some.to(y.dtype))
