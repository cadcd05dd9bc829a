"""Assignments: which of N estimates belongs to which of N things, so that the total cost is least.

Source: the Hungarian method (Kuhn 1955) in the form of Jonker and Volgenant 1987, through scipy.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def assign(cost: Tensor) -> Tensor:
    """The estimate of each thing, of least total cost.

    It is computed on the processor, one example after the other, and is no function that has a slope: costs are
    differentiated with the assignment as it is.

    Args:
        cost: Of each estimate (second axis) for each thing (last axis), shape `(B, N, N)`; what is no number costs
            nothing.

    Returns:
        Indices of estimates, int64, shape `(B, N)`, each once in a row.
    """
    tables = cost.detach().nan_to_num().double().cpu().mT.numpy()
    return torch.tensor([linear_sum_assignment(table)[1].tolist() for table in tables], device=cost.device).view(
        len(cost), cost.shape[-1]
    )
