"""Images a second: what benchmarks of detectors and of segmenters share."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

BATCHES = (1, 8)
WARM, REPEATS = 2, 10


@torch.no_grad()
def images_a_second(answer: Callable[[int], Tensor], batch: int) -> float:
    """By the median of some calls, after warm ones.

    Args:
        answer: What is found in as many images, by the number of the call.
        batch: The number of images.
    """
    times = []
    for call in range(WARM + REPEATS):
        started = time.perf_counter()
        answer(call).cpu()  # which waits for the device
        times.append(time.perf_counter() - started)
    return batch / statistics.median(times[WARM:])
