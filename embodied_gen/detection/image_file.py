"""Files of images with boxes.

They are safetensors with

    images   uint8 (n, C, H, W)
    boxes    float32 (n, M, 4), corners (x0, y0, x1, y1) in pixels, of which the first `counts` of an image are objects
    labels   int64 (n, M)
    counts   int64 (n,)

and the names of classes in the header.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from embodied_gen.demos.boxed_images import Axis, BoxedImages, values_of
from embodied_gen.events import BoxSet
from embodied_gen.training import files

_NAMES = ("images", "boxes", "labels", "counts")


def write_images(
    path: Path, images: Tensor, boxes: Tensor, labels: Tensor, counts: Tensor, *, classes: Sequence[str]
) -> None:
    """Writes a file of images with boxes, after a check of all of them.

    Raises:
        ValueError: If anything does not fit, as `BoxSet.encode` says of boxes and labels.
        OSError: If there is no space.
    """
    _values(images, boxes, labels, counts, len(classes), str(path))
    tensors = dict(zip(_NAMES, (images, boxes, labels, counts), strict=True))
    files.write_tensors(path, tensors, {"classes": list(classes)})


def read_images(path: Path, *, mirrors: Sequence[Axis] = ()) -> tuple[BoxedImages, tuple[str, ...]]:
    """The images of a file, on the CPU, and the names of their classes.

    Args:
        path: File.
        mirrors: Axes along which images are mirrored, too.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is truncated or foreign, or what it holds does not fit.
    """
    tensors, note = files.read_tensors(path)
    classes = note.get("classes")
    if set(tensors) != set(_NAMES) or not isinstance(classes, list) or not classes:
        raise ValueError(
            f"{path} is no file of images with boxes: it needs the tensors {', '.join(_NAMES)} and names of classes; "
            f"it holds {', '.join(sorted(tensors)) or 'nothing'}. Write one with detection.write_images."
        )
    images, boxes, labels, counts = (tensors[name] for name in _NAMES)
    values = _values(images, boxes, labels, counts, len(classes), str(path))
    return BoxedImages(images, values, mirrors=mirrors, source=str(path)), tuple(map(str, classes))


def _values(images: Tensor, boxes: Tensor, labels: Tensor, counts: Tensor, classes: int, source: str) -> Tensor:
    """Values of images, of which every box and label is a possible one."""
    try:
        rows, columns = images.shape[2:] if images.ndim == 4 else (1, 1)
        values = values_of(boxes, labels, counts, rows=rows, columns=columns)
        BoxedImages(images, values)
        BoxSet(classes, max(values.shape[1], 1)).encode(values)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return values
