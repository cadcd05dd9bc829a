"""One training loop for every head."""

from embodied_gen.training.checkpoint import Course
from embodied_gen.training.fit import Interrupted, fit
from embodied_gen.training.settings import TrainSettings

__all__ = ["Course", "Interrupted", "TrainSettings", "fit"]
