"""Control of what is predicted of one image, pixel by pixel."""

from embodied_gen.config import Block


class ImageControl(Block):
    """One answer for one image; `size` is width and height that images are reduced to [px]."""

    kind: str
    size: tuple[int, int]

    @property
    def history(self) -> int:
        """One image."""
        return 1

    @property
    def horizon(self) -> int:
        """One answer."""
        return 1

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        width, height = self.size
        return height, width, channels
