"""What a family costs on a ground: the time of a call, and that of a step of training, by which it is tried first.

The time of a call is that of a freshly built head, alone on the machine: no weights are kept, and time does not depend
on them but for heads that stop when they are done (residual flows, solvers of adaptive steps), which may take longer.
"""

import time
from typing import Any

import torch

from embodied_gen import draws
from embodied_gen import evaluate as evaluation
from embodied_gen.control import Policy
from embodied_gen.experiment import around
from embodied_gen.grounds.cell import Cell
from embodied_gen.grounds.shared import Shared

_SECONDS = 2.0  # that calls of one head are timed


def rehearse(cell: Cell) -> float:
    """Takes one step of training on two examples that are made up: whether a family goes with a ground is known before.

    Returns:
        Seconds of a processor, which tell dear families from cheap ones.

    Raises:
        ValueError: If it does not, as the head or its network says why.
    """
    ground, sizes = cell.ground, cell.ground.sizes()
    event = ground.event_of(torch.zeros(1, *ground.control.shape(sizes.action)))
    seen = torch.zeros(2, sizes.observation)
    predictor = around(ground.control, event, ground.net, cell.head, observations=seen, seed=cell.seed)
    c = predictor.encoder(seen[:, None].expand(-1, ground.control.history, -1))
    started = time.process_time()
    loss = predictor.head.loss(torch.ones(2, *event.shape), c, generator=draws.generator(cell.seed))
    loss.sum().backward()
    return time.process_time() - started


def timed(cell: Cell, shared: Shared, device: torch.device) -> dict[str, Any]:
    """Milliseconds to predict one event for one observation, as on a robot: `ms_a_call`, of so many `timed_calls`."""
    ground, observations = cell.ground, shared.episodes.observations
    parts = ground.control, shared.event(), ground.net, cell.head
    predictor = around(*parts, observations=observations, seed=cell.seed).to(device)
    policy = Policy(predictor, history=ground.control.history, actions=1)
    found = evaluation.latency(policy, observations[0].numpy(), seconds=_SECONDS)
    return {"ms_a_call": found["chunk_ms_p50"], "timed_calls": found["calls"]}
