"""Fine-tuning: training starts from the averaged weights of another run instead of random ones."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from embodied_gen.training import checkpoint, files


def start_from(module: nn.Module, run: Path) -> str:
    """Gives a module the weights of a run, of which it may have more, and returns their hash.

    All weights of the run must have a place, so that nothing that was learned is lost unseen; what only the module has,
    as a CRF that is put behind a network, keeps its own.

    Raises:
        FileNotFoundError: If the run has no weights.
        ValueError: If the file is damaged, or a weight has no place of its shape in the module.
    """
    path = checkpoint.model_path(run)
    tensors, _ = files.read_tensors(path)
    own = module.state_dict()
    lost = [name for name, value in tensors.items() if name not in own or own[name].shape != value.shape]
    if lost:
        raise ValueError(
            f"{path} cannot be started from: {len(lost)} of its {len(tensors)} tensors have no place of their shape, "
            f"the first {lost[0]}. Use the net, the event and the sizes of that run; only the head may be extended."
        )
    module.load_state_dict(own | tensors)
    return _digest(tensors)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """A hash of weights; the file says the same in other bytes each time it is written, and a resumed run writes it."""
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        found.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
