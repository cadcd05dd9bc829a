"""Parts of segments: points at which something is read along paths, more of them on longer segments.

How many there are is known from numbers alone, so that a device waits for the host. The most that there can be would
take no wait, but a hundred times the points.
"""

import torch
from torch import Tensor


def parts(start: Tensor, step: Tensor, count: Tensor, at: float) -> tuple[Tensor, Tensor]:
    """One point in each of a segment's equal parts; every segment has a number of its own.

    Args:
        start: Where segments start, shape `(S, 2)`.
        step: Where they lead from there, the same shape.
        count: Parts of each, int64, at least 1, shape `(S,)`.
        at: Place of the point in its part, from 0 at the start to 1 at the end.

    Returns:
        P points `(P, 2)`, and the number of the segment that each lies on, `(P,)`.
    """
    segment = torch.arange(len(count), device=start.device).repeat_interleave(count)
    first = (count.cumsum(0) - count)[segment]
    share = (torch.arange(len(segment), device=start.device) - first + at) / count[segment]
    return start[segment] + share.to(start).unsqueeze(-1) * step[segment], segment
