"""Detectors as experiments: images with boxes, a config, a predictor, a run folder, scores."""

from embodied_gen.detection.experiment import Detection, build, images_of, is_run, load, read
from embodied_gen.detection.scoring import Scored, adjust, detections, score

__all__ = ["Detection", "Scored", "adjust", "build", "detections", "images_of", "is_run", "load", "read", "score"]
