"""Picture files. They are not trusted: what is truncated, or has other channels than are asked for, is refused by name.

Nothing is converted, for every conversion loses something: transparency, a palette's order, the lower bits of channels
of 16 bits.
"""

from pathlib import Path
from typing import Any

_WIDE = ";16"  # in Pillow's names of how channels of 16 bits lie in a file


def colours(path: Path) -> Any:
    """The Pillow image of a file with three channels of 8 bits.

    Raises:
        ImportError: If Pillow is missing.
        ValueError: If the file is truncated or no image, or has other channels.
    """
    image, wide = _opened(path)
    if image.mode != "RGB" or wide:
        found = "RGB with 16 bits" if image.mode == "RGB" else image.mode
        raise ValueError(
            f"{path} must have three channels of 8 bits (RGB); got the mode {found}. Save it again with such channels."
        )
    return image


def labels(path: Path) -> Any:
    """The Pillow image of a file with one channel of 8 bits, which may be the numbers of a palette.

    Raises:
        ImportError: If Pillow is missing.
        ValueError: If the file is truncated or no image, or has other channels.
    """
    image, _ = _opened(path)
    if image.mode not in ("L", "P"):
        raise ValueError(f"{path} must have one channel of 8 bits (L or P); got the mode {image.mode}.")
    return image


def resampling() -> Any:
    """Pillow's ways to reduce images."""
    return _pillow().Resampling


def _opened(path: Path) -> tuple[Any, bool]:
    """An image, and whether its file has channels of 16 bits, of which Pillow keeps the upper half alone."""
    pillow = _pillow()
    try:
        with pillow.open(path) as file:
            wide = any(_WIDE in str(part) for part in file.tile)
            file.load()
            return file, wide
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"{path} is truncated or no image ({error}). Restore it from a copy.") from error


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("image files need Pillow. Install the extra: pip install 'embodied-gen[viz]'.") from error
    return Image
