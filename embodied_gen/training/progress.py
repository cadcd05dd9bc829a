"""Progress: parts of a model that are told how far training has come."""

from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class HasProgress(Protocol):
    """A module that learns differently early and late."""

    def progress(self, done: float) -> None:
        """Takes note of how much of training is over, in [0, 1]; it is told again after a resumption."""


def listeners(*models: nn.Module) -> list[HasProgress]:
    """All parts of models that are to be told."""
    return [part for model in models for part in model.modules() if isinstance(part, HasProgress)]
