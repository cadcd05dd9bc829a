"""Picture files. They are not trusted: what is truncated, or has other channels than are asked for, is refused by name.

Nothing is converted, for every conversion loses something: transparency, a palette's order, the lower bits of channels
of 16 bits. Nothing is turned, either: what was drawn on the picture as it is shown would else lie elsewhere.
"""

from pathlib import Path
from typing import Any

# In Pillow's names of how channels lie in a file: those of 16 bits, and grey ones of 2 and 4.
_WIDE = ";16"
_NARROW = ("L;2", "L;4")
_ORIENTATION = 0x112  # the EXIF entry: 2 to 8 where a picture is shown mirrored or turned


def colours(path: Path) -> Any:
    """The Pillow image of a file with three channels of 8 bits.

    Raises:
        ImportError: If Pillow is missing.
        ValueError: If the file is truncated or no image, has other channels, or is not upright.
    """
    image, layout = _opened(path)
    wide = _WIDE in layout
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
        ValueError: If the file is truncated or no image, has other channels, or is not upright.
    """
    image, layout = _opened(path)
    if image.mode not in ("L", "P"):
        raise ValueError(f"{path} must have one channel of 8 bits (L or P); got the mode {image.mode}.")
    if any(narrow in layout for narrow in _NARROW):
        raise ValueError(
            f"{path} must have one channel of 8 bits (L or P); got fewer bits, which are read stretched to 255. Save "
            "it again with 8 bits."
        )
    return image


def resampling() -> Any:
    """Pillow's ways to reduce images."""
    return _pillow().Resampling


def _opened(path: Path) -> tuple[Any, str]:
    """An upright image, and Pillow's names of how its channels lie in the file, which reading forgets."""
    pillow = _pillow()
    try:
        with pillow.open(path) as file:
            layout = str(file.tile)
            file.load()
            orientation = file.getexif().get(_ORIENTATION)
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"{path} is truncated or no image ({error}). Restore it from a copy.") from error
    if orientation in range(2, 9):
        raise ValueError(
            f"{path} must lie in its file as it is shown; got the EXIF orientation {orientation}. Save it upright."
        )
    return file, layout


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("image files need Pillow. Install the extra: pip install 'embodied-gen[viz]'.") from error
    return Image
