"""Intervals and tests for success rates, scores and diversity of policies; scores of label and instance maps."""

from embodied_gen.statistics.instances import InstanceScores, instance_scores
from embodied_gen.statistics.interval import Estimate, Interval
from embodied_gen.statistics.label_maps import LabelScores, boundary_f1, calibration_error, label_scores
from embodied_gen.statistics.modes import Modes, clusters, count_modes
from embodied_gen.statistics.power import minimum_detectable_effect, minimum_detectable_effect_paired
from embodied_gen.statistics.rates import clopper_pearson, holm, mcnemar, newcombe, newcombe_paired, wilson
from embodied_gen.statistics.resampling import bootstrap_mean, bootstrap_paired_difference, entropy

__all__ = [
    "Estimate",
    "InstanceScores",
    "Interval",
    "LabelScores",
    "Modes",
    "bootstrap_mean",
    "bootstrap_paired_difference",
    "boundary_f1",
    "calibration_error",
    "clopper_pearson",
    "clusters",
    "count_modes",
    "entropy",
    "holm",
    "instance_scores",
    "label_scores",
    "mcnemar",
    "minimum_detectable_effect",
    "minimum_detectable_effect_paired",
    "newcombe",
    "newcombe_paired",
    "wilson",
]
