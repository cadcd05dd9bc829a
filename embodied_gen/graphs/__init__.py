"""Grids and graphs whose actions have costs: exact backups, visits, paths; sums over chains and trees."""

from embodied_gen.graphs.dynamics import Dynamics
from embodied_gen.graphs.graph import Graph
from embodied_gen.graphs.grid import Grid
from embodied_gen.graphs.horizon import Horizon, no_path
from embodied_gen.graphs.horizons import Discounted, Finite, ToGoal
from embodied_gen.graphs.inference import Tree
from embodied_gen.graphs.paths import Paths, greedy, sampled
from embodied_gen.graphs.rules import Hard, Rule, Soft
from embodied_gen.graphs.shortest import costs_to_go, shortest

__all__ = [
    "Discounted",
    "Dynamics",
    "Finite",
    "Graph",
    "Grid",
    "Hard",
    "Horizon",
    "Paths",
    "Rule",
    "Soft",
    "ToGoal",
    "Tree",
    "costs_to_go",
    "greedy",
    "no_path",
    "sampled",
    "shortest",
]
