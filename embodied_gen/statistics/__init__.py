"""Intervals and tests of rates and scores, diversity, calibration; scores of detections, label and instance maps."""

from embodied_gen.statistics.calibration import central_intervals, coverage, expected_calibration_error
from embodied_gen.statistics.detections import Answers, DetectionScores, answers, detection_scores, score_calibration
from embodied_gen.statistics.instances import InstanceScores, instance_scores
from embodied_gen.statistics.interval import Estimate, Interval
from embodied_gen.statistics.label_maps import (
    LabelScores,
    boundary_f1,
    calibration_error,
    confusions,
    label_scores,
    scores_of,
)
from embodied_gen.statistics.modes import (
    Modes,
    clusters,
    count_modes,
    reached,
    relative_entropy,
    relative_reach,
    spread,
)
from embodied_gen.statistics.power import minimum_detectable_effect, minimum_detectable_effect_paired
from embodied_gen.statistics.rates import clopper_pearson, holm, mcnemar, newcombe, newcombe_paired, wilson
from embodied_gen.statistics.resampling import block_resamples, bootstrap_mean, bootstrap_paired_difference, entropy
from embodied_gen.statistics.students import student_mean

__all__ = [
    "Answers",
    "DetectionScores",
    "Estimate",
    "InstanceScores",
    "Interval",
    "LabelScores",
    "Modes",
    "answers",
    "block_resamples",
    "bootstrap_mean",
    "bootstrap_paired_difference",
    "boundary_f1",
    "calibration_error",
    "central_intervals",
    "clopper_pearson",
    "clusters",
    "confusions",
    "count_modes",
    "coverage",
    "detection_scores",
    "entropy",
    "expected_calibration_error",
    "holm",
    "instance_scores",
    "label_scores",
    "mcnemar",
    "minimum_detectable_effect",
    "minimum_detectable_effect_paired",
    "newcombe",
    "newcombe_paired",
    "reached",
    "relative_entropy",
    "relative_reach",
    "score_calibration",
    "scores_of",
    "spread",
    "student_mean",
    "wilson",
]
