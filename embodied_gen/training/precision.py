"""Precision of matrix products: bf16 where the processor has tiles for it, fp32 elsewhere.

Weights, losses and optimiser stay in fp32; only the products under autocast are narrow. Vector units that multiply bf16
(avx512_bf16) are no reason for it: a step of a detector's training took 1.4 times as long with it on one of those.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def resolve(precision: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """What "auto" means on a device; other values stand."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bf16" if features.get("amx_bf16") else "fp32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """A context in which products have the given precision."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
