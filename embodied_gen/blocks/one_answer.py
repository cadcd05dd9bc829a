"""Control of what is answered once for what is seen once: an image, or a box."""

from embodied_gen.config import Block


class OneAnswerControl(Block):
    """One answer for one observation, with no history."""

    @property
    def history(self) -> int:
        """One observation."""
        return 1

    @property
    def horizon(self) -> int:
        """One answer."""
        return 1
