"""Pictures with boxes and words drawn into them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def boxed(image: np.ndarray, boxes: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """A copy of an image `(H, W, 3)` with boxes (x0, y0, x1, y1) [px], `(M, 4)`, and a word in each of them."""
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    for box, word in zip(boxes, words, strict=True):
        pen.rectangle([box[0], box[1], box[2] - 1, box[3] - 1], outline=WHITE, width=2)
        pen.text((box[0] + 3, box[1] + 1), word, fill=WHITE, stroke_width=2, stroke_fill=BLACK)
    return np.asarray(picture)


def titled(image: np.ndarray, title: str) -> np.ndarray:
    """An image under a line with its title."""
    line = Image.new("RGB", (image.shape[1], 18), WHITE)
    ImageDraw.Draw(line).text((4, 3), title, fill=BLACK)
    return np.concatenate([np.asarray(line), image])
