"""The expert of Tabletop-v0: knows the true boxes and labels, and aims at the middles of boxes.

Of the boxes of the asked class the largest comes first; another attempt of the same episode takes the next one, and the
first again after the last.
"""

from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from envs.tabletop_view import View


@final
class TabletopExpert:
    """Picks by true boxes.

    Args:
        view: Gives the present view of the table.
    """

    def __init__(self, view: Callable[[], View]) -> None:
        self._view = view
        self._attempt = 0

    def reset(self, seed: int) -> None:
        """Start an episode; there is nothing to draw."""
        self._attempt = 0

    def act(self, observation: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Where to pick, shape `(2,)`, for an observation; the middle of the picture where no box is asked for."""
        view = self._view()
        boxes = view.boxes[view.labels == observation["target"].argmax()]
        if len(boxes) == 0:
            return np.full(2, 0.5, dtype=np.float32)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        box = boxes[np.argsort(-area, kind="stable")[self._attempt % len(boxes)]]
        self._attempt += 1
        return ((box[:2] + box[2:]) / 2 / view.camera.size).astype(np.float32)
