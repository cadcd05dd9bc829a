"""What a family costs on a ground: the time of a call, and that of a step of training, by which it is tried first.

Both are the processor's time of one thread, so that what else the machine does counts little; with several threads, and
on a device, they are the clock's.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen import evaluate as evaluation
from embodied_gen.blocks import HeadBlock
from embodied_gen.control import Policy
from embodied_gen.experiment import around
from embodied_gen.grounds.ground import Ground
from embodied_gen.predictor import Predictor

_SECONDS = 2.0  # that calls of one head are timed


def rehearse(ground: Ground, head: HeadBlock, seed: int) -> float:
    """Takes one step of training on two examples that are made up: whether a family goes with a ground is known before.

    Returns:
        Seconds of a processor, which tell dear families from cheap ones.

    Raises:
        ValueError: If it does not, as the head or its network says why.
    """
    sizes = ground.sizes()
    event = ground.event_of(torch.zeros(1, *ground.control.shape(sizes.action)))
    seen = torch.zeros(2, sizes.observation)
    predictor = around(ground.control, event, ground.net, head, observations=seen, seed=seed)
    c = predictor.encoder(seen[:, None].expand(-1, ground.control.history, -1))
    started = time.process_time()
    loss = predictor.head.loss(torch.ones(2, *event.shape), c, generator=draws.generator(seed))
    loss.sum().backward()
    return time.process_time() - started


def clock_of(device: torch.device) -> Callable[[], float]:
    """The clock in seconds by which training and calls are timed."""
    return time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def timed(predictor: Predictor, ground: Ground, observation: Tensor) -> dict[str, Any]:
    """Milliseconds to predict one event for one observation, as on a robot: `ms_a_call`, of so many `timed_calls`."""
    policy = Policy(predictor, history=ground.control.history, actions=1)
    clock = clock_of(predictor.head.event.low.device)
    found = evaluation.latency(policy, observation.numpy(), seconds=_SECONDS, clock=clock)
    return {"ms_a_call": found["chunk_ms_p50"], "timed_calls": found["calls"]}
