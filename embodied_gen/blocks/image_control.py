"""Control of what is predicted of one image, pixel by pixel."""

from embodied_gen.blocks.one_answer import OneAnswerControl


class ImageControl(OneAnswerControl):
    """One answer for one image; `size` is width and height that images are reduced to [px]."""

    kind: str
    size: tuple[int, int]

    def shape(self, channels: int) -> tuple[int, ...]:
        """Axes of the value."""
        width, height = self.size
        return height, width, channels
