"""Time and accuracy of dense CRFs: ours against pydensecrf, and every method against the exact mean field.

    python benchmarks/dense_crf.py [--repeats 15] [--threads 2] [--crfasrnn FOLDER]

Both make the steps of mean field anew, smoothness kernel 3 with weight 3 and appearance kernel 80 / 13 with weight 10,
in this process in turn (A B C A B C ...). pydensecrf makes the lattices of both kernels every time. So do we where no
image of the size came before; else the lattice of positions is kept, as for the frames of a video and the images of a
training set, and that of places and colours is made anew. Ours is timed both ways, on the threads that are asked for
and on one, which is what pydensecrf uses always. Times are the least of the repeats, as what else the machine does only
adds; ratios are medians over rounds, with their range. On one thread seconds are those of the processor, on several
those of the clock. Images are renderings with noise, or photographs of a folder. A row also holds the time of the
forward and backward pass of a training step, with gradients to logits, weights and agreements, over pydensecrf's
forward pass, as that has no backward one. With a checkout of crfasrnn_pytorch (MIT licence), whose extension `python
setup.py install` has built, training steps of its layer and of ours are timed in turn too, on one thread: ours with
fixed widths on the lattice, as it is by default, and with widths that are learned by low rank. Needs pydensecrf: pip
install pydensecrf2. Writes benchmarks/results/dense_crf.json with the ratios.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from spread import spread

from embodied_gen import draws, provenance
from embodied_gen.commands.console import console
from embodied_gen.crf import DenseCRF, Exact, Kernel, Method, Nystroem, Permutohedral, Potts, lattice_filter
from embodied_gen.training import files

SIZES = ((320, 213), (500, 375))
LABELS = (2, 21)
STEPS = (5, 10)
SMALL = (120, 80)
OTHER_WAYS = ("anew", "one_thread", "one_thread_anew")  # of ours: the lattice of positions, and threads


@dataclass
class Arguments:
    """Time and accuracy of dense CRFs."""

    repeats: int = 15
    """Measurements of each program, after one to warm up."""
    threads: int = 2
    """Threads of torch."""
    photographs: str = ""
    """Folder of images to use; renderings where none is given."""
    crfasrnn: str = ""
    """Checkout of crfasrnn_pytorch; left out where none is given."""
    out: str = "benchmarks/results/dense_crf.json"
    """Record to write."""


def main() -> None:
    """Runs the benchmark."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    rows = []
    for size in SIZES:
        image = _image(arguments.photographs, size)
        for labels in LABELS:
            for steps in STEPS:
                rows.append(_speed(image, labels, steps, arguments.repeats, clock))
                console.print(rows[-1])
    accuracy = _accuracy(_image(arguments.photographs, SMALL))
    console.print(accuracy)
    trained = _trained(_image(arguments.photographs, SIZES[0]), arguments) if arguments.crfasrnn else None
    console.print(trained)
    record = {
        "schema": files.SCHEMA,
        "what": "seconds of pydensecrf over ours, set-up included, but the lattice of positions where it is kept; "
        "labels that are those of the exact mean field",
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "images": "photographs" if arguments.photographs else "renderings",
        "speed": rows,
        "accuracy": accuracy,
        "training_step": trained,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    files.write_json(Path(arguments.out), record)


def _speed(image: np.ndarray, labels: int, steps: int, repeats: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Times of all programs in turn, and by how much our marginals differ."""
    runs = _runs(image, labels, steps)
    rounds = np.array([[_seconds(run, clock) for run in runs.values()] for _ in range(repeats + 1)])[1:]
    seconds = dict(zip(runs, rounds.T, strict=True))
    theirs, ours = seconds["pydensecrf"], {"ratio": "ours"} | {f"{name}_ratio": name for name in OTHER_WAYS}
    error = np.abs(runs["ours"]().flatten(0, 2).T.numpy() - runs["pydensecrf"]())
    row: dict[str, Any] = {"size": f"{image.shape[1]} x {image.shape[0]}", "labels": labels, "iterations": steps}
    row |= {f"{name}_ms": 1e3 * float(each.min()) for name, each in seconds.items()}
    for name, way in ours.items():
        row |= spread(name, theirs / seconds[way])
    return row | {
        "forward_backward_over_pydensecrf": float(seconds["forward_backward"].min() / theirs.min()),
        "largest_difference": float(error.max()),
    }


def _runs(image: np.ndarray, labels: int, steps: int) -> dict[str, Callable[[], Any]]:
    """Marginals of an image by each program and in each way; and a training step of ours."""
    logits, guide = _logits(image, labels), _guide(image)
    unary = np.ascontiguousarray(-logits.flatten(0, 2).T.numpy())
    layer = DenseCRF(labels, agreement=Potts(), method=Permutohedral())
    trained = DenseCRF(labels, method=Permutohedral())
    learned = logits.clone().requires_grad_()

    def ours() -> torch.Tensor:
        with torch.no_grad():
            return layer(logits, guide, iterations=steps).softmax(-1)

    def anew() -> torch.Tensor:
        lattice_filter._of_positions.cache_clear()  # as if no image of this size came before
        return ours()

    def training() -> None:
        trained(learned, guide, iterations=steps).log_softmax(-1)[..., 0].mean().backward()

    return {
        "ours": ours,
        "pydensecrf": partial(_theirs, image, unary, steps),
        "forward_backward": training,
        "anew": anew,
        "one_thread": partial(_on_one_thread, ours),
        "one_thread_anew": partial(_on_one_thread, anew),
    }


def _trained(image: np.ndarray, arguments: Arguments) -> dict[str, Any]:
    """Training steps of two layers in turn, 21 labels and 5 iterations, set-up included, on one thread."""
    sys.path.insert(0, arguments.crfasrnn)
    from crfasrnn.crfrnn import CrfRnn
    from crfasrnn.params import DenseCRFParams

    logits, guide = _logits(image, LABELS[-1]), _guide(image)
    fixed = DenseCRF(LABELS[-1], method=Permutohedral())
    widths_too = DenseCRF(LABELS[-1], method=Nystroem(), learn_widths=True)
    theirs = CrfRnn(LABELS[-1], STEPS[0], DenseCRFParams(80.0, 13.0, 3.0, 3.0, 10.0))
    learned, moved = logits.clone().requires_grad_(), logits.movedim(-1, 1).contiguous().requires_grad_()

    def step_of(layer: DenseCRF) -> None:
        layer(learned, guide, iterations=STEPS[0]).log_softmax(-1)[..., 0].mean().backward()

    def step_of_theirs() -> None:
        theirs(guide, moved).log_softmax(1)[:, 0].mean().backward()

    runs = (partial(step_of, fixed), step_of_theirs, partial(step_of, widths_too))
    with _one_thread():
        rounds = [[_seconds(run, time.process_time) for run in runs] for _ in range(arguments.repeats + 1)]
    seconds = np.array(rounds)[1:]
    ours, other, with_widths = seconds.min(0).tolist()
    return {
        "size": f"{image.shape[1]} x {image.shape[0]}",
        "ours_ms": 1e3 * ours,
        "crfasrnn_ms": 1e3 * other,
        "learned_widths_ms": 1e3 * with_widths,
        **spread("ratio", seconds[:, 1] / seconds[:, 0]),
    }


def _theirs(image: np.ndarray, unary: np.ndarray, steps: int) -> np.ndarray:
    from pydensecrf import densecrf

    crf = densecrf.DenseCRF2D(image.shape[1], image.shape[0], len(unary))
    crf.setUnaryEnergy(unary)
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=10)
    return np.array(crf.inference(steps))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _on_one_thread(run: Callable[[], Any]) -> Any:
    with _one_thread():
        return run()


def _seconds(run: Callable[[], Any], clock: Callable[[], float]) -> float:
    started = clock()
    run()
    return clock() - started


def _accuracy(image: np.ndarray) -> list[dict[str, Any]]:
    """Shares of labels and mean total variation against the exact mean field, five steps, 21 labels."""
    logits, guide = _logits(image, LABELS[-1]), _guide(image)
    kernels = (Kernel(3.0), Kernel(30.0, (13.0, 13.0, 13.0)))

    def marginals(method: Method) -> torch.Tensor:
        layer = DenseCRF(LABELS[-1], kernels, (3.0, 10.0), agreement=Potts(), method=method)
        with torch.no_grad():
            return layer(logits, guide, iterations=5).softmax(-1)

    exact = marginals(Exact())
    methods = {"lattice": Permutohedral(), **{f"rank {m}": Nystroem(m) for m in (128, 256, 512)}}
    rows = []
    for name, method in methods.items():
        found = marginals(method)
        same = (found.argmax(-1) == exact.argmax(-1)).float().mean()
        variation = (found - exact).abs().sum(-1).mean() / 2
        rows.append({"method": name, "equal_labels": float(same), "total_variation": float(variation)})
    return rows


def _logits(image: np.ndarray, labels: int) -> torch.Tensor:
    """Log-probabilities that lean towards a class by brightness, under much noise, `(1, H, W, L)`."""
    label = torch.tensor(image.astype(int).sum(-1) * labels // 766)
    own = 2.0 * torch.nn.functional.one_hot(label, labels).float()
    noise = draws.normal(own.shape, generator=draws.generator(0), like=own)
    return (own + 1.2 * noise).log_softmax(-1).unsqueeze(0)


def _guide(image: np.ndarray) -> torch.Tensor:
    return torch.tensor(image).permute(2, 0, 1).float().unsqueeze(0)


def _image(folder: str, size: tuple[int, int]) -> np.ndarray:
    """An image of a folder, or a rendering; uint8, `(H, W, 3)`."""
    if folder:
        from PIL import Image

        path = sorted(path for path in Path(folder).iterdir() if path.suffix in (".png", ".jpg", ".webp"))[0]
        return np.ascontiguousarray(np.array(Image.open(path).convert("RGB").resize(size)))
    rng = np.random.default_rng(0)
    width, height = size
    y, x = np.mgrid[:height, :width]
    image = np.stack([60 + 80 * y / height, 90 + 60 * x / width, 120 + 0 * x], -1)
    for _ in range(12):
        centre, reach = rng.random(2) * (height, width), (0.05 + 0.15 * rng.random()) * height
        image[np.hypot(y - centre[0], x - centre[1]) < reach] = 255 * rng.random(3)
    image += rng.normal(0, 5, image.shape) + 12 * np.sin(x / 5 + y / 7)[..., None]
    return np.ascontiguousarray(image.clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
