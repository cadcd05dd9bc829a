"""Generative models as structured-output heads p(x | c) for embodied planning.

The public surface is the set of modules; importing the package alone loads nothing heavy, so that worker
processes of the simulators start without torch.
"""

from importlib.metadata import version

__version__ = version("embodied-gen")
