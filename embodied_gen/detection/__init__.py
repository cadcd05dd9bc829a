"""Detectors as experiments: a file of images, a config, a predictor, a run folder."""

from embodied_gen.detection.experiment import Detection, build, images_of, load, read
from embodied_gen.detection.image_file import read_images, write_images

__all__ = ["Detection", "build", "images_of", "load", "read", "read_images", "write_images"]
