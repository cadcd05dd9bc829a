"""Detectors as experiments: images with boxes, a config, a predictor, a run folder, scores."""

from embodied_gen.detection.experiment import Detection, build, images_of, is_run, load, read
from embodied_gen.detection.residuals import Residuals
from embodied_gen.detection.scoring import Scored, adjust, detections, score
from embodied_gen.detection.spreads import Spread, drawing, draws_boxes, residuals, spread

__all__ = [
    "Detection",
    "Residuals",
    "Scored",
    "Spread",
    "adjust",
    "build",
    "detections",
    "drawing",
    "draws_boxes",
    "images_of",
    "is_run",
    "load",
    "read",
    "residuals",
    "score",
    "spread",
]
