"""ETH and UCY: five scenes of pedestrians from above, each the test of what is learned from the other four.

Expected is the folder of text files as the Trajectron++ repository has it (experiments/pedestrians/raw/raw): all_data/
with the eight recordings, train/ and val/ with each of them cut in two by time. Every file is checked against its sum.

    test      eth: biwi_eth; hotel: biwi_hotel; univ: students001, students003; zara1: crowds_zara01;
              zara2: crowds_zara02
    train     the train/ parts of all others; val likewise. crowds_zara03 and uni_examples are tested by nobody.

Known faults. In biwi_eth neighbouring rows are 10 frames of a video of 15 frames/s apart, 0.67 s, but every published
number reads them as 0.4 s, so that people seem to walk 10/6 times too fast; `corrected` reads it every 6 frames, by
straight lines. students001 belongs to no published video.

Sources: Pellegrini, Ess, Schindler and van Gool 2009; Lerner, Chrysanthou and Lischinski 2007.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

from embodied_gen.forecasting import track_file
from embodied_gen.forecasting.tracks import Tracks

TESTS = {
    "eth": ("biwi_eth",),
    "hotel": ("biwi_hotel",),
    "univ": ("students001", "students003"),
    "zara1": ("crowds_zara01",),
    "zara2": ("crowds_zara02",),
}
"""The recordings that each scene is tested on."""
SCENES = tuple(TESTS)
RECORDINGS = (*(name for names in TESTS.values() for name in names), "crowds_zara03", "uni_examples")
TOO_FAST, FRAMES_OF_A_PERIOD = "biwi_eth", 6  # 15 frames/s
CORRECTED = "eth, corrected"
"""The scene eth at its true rate, in tables."""


@final
@dataclass(frozen=True)
class Split:
    """Recordings to learn from, to choose by, and to be judged by."""

    train: list[Tracks]
    val: list[Tracks]
    test: list[Tracks]


def read_split(folder: Path, scene: str) -> Split:
    """The recordings of a scene, left out of training.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If there is no such scene, or a file is not the one expected.
    """
    if scene not in TESTS:
        raise ValueError(f"scene must be one of {', '.join(SCENES)}; got {scene!r}.")
    others = [name for name in RECORDINGS if name not in TESTS[scene]]
    return Split(
        [read_part(folder, "train", name) for name in others],
        [read_part(folder, "val", name) for name in others],
        read_test(folder, scene),
    )


def read_test(folder: Path, scene: str) -> list[Tracks]:
    """The recordings that a scene is tested on; see `read_split`."""
    return [read_part(folder, "all_data", name) for name in TESTS[scene]]


def read_part(folder: Path, part: str, name: str) -> Tracks:
    """One recording: all of it ("all_data") or what lies before or after its cut ("train", "val")."""
    path = path_of(folder, part, name)
    _check(path, f"{part}/{path.name}")
    return track_file.read(path)


def path_of(folder: Path, part: str, name: str) -> Path:
    """Where a recording lies."""
    return folder / part / f"{name}{'' if part == 'all_data' else f'_{part}'}.txt"


def corrected(tracks: Tracks) -> Tracks:
    """A recording at its true rate: biwi_eth read every 0.4 s, others as they are."""
    return tracks.resampled(FRAMES_OF_A_PERIOD) if TOO_FAST in Path(tracks.source).name else tracks


def at_each_rate(scene: str, tests: list[Tracks]) -> dict[str, list[Tracks]]:
    """What a scene is tested on, by name: the recordings as published, and eth at its true rate besides."""
    return {scene: tests} | ({CORRECTED: [corrected(tracks) for tracks in tests]} if TOO_FAST in TESTS[scene] else {})


def _check(path: Path, name: str) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. Give the folder that holds all_data, train and val: experiments/pedestrians/raw/raw "
            "of the Trajectron++ repository."
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256[name]:
        raise ValueError(
            f"{path}: the SHA-256 sum must be {SHA256[name]}; got {found}. Take the file anew from the Trajectron++ "
            "repository, or read it as it is with track_file.read."
        )


SHA256 = {
    "all_data/biwi_eth.txt": "cf8d3fd342a15f409ebc2a1fc76b91a0f06390bd21f1e11410f3859331ab082b",
    "all_data/biwi_hotel.txt": "9caa771bb9153d6b809dd0916b6f86761b641e6bbb15e766c1de3133fbbb7fcf",
    "all_data/crowds_zara01.txt": "1147a1962a09abfb86f28c6cddcac862e095a0cf129b3016385b69eacdd09d85",
    "all_data/crowds_zara02.txt": "8a649d0f8c9ae75c87c4d23a85f892786b0aa30266e996c7be03e69dafff22ff",
    "all_data/crowds_zara03.txt": "16b3e899932c4baacd07f45013d5b921f90bc5a29eb2b0fe42f4d7c904ac3108",
    "all_data/students001.txt": "a6d87f278d94136fe39b8be91555487a29ac77259ae403b9dba2d5c18caf7b5b",
    "all_data/students003.txt": "e25798b660634330aa89f8bb259425de720e84d0873902726c1d1f4ccff21d6c",
    "all_data/uni_examples.txt": "61f432c0ab3070ed0ef150fbeabcd7baf839cab5495a46e6105bd747f0a092a7",
    "train/biwi_eth_train.txt": "7905d1337f8466c3ebcd80e8264158209370e939774a371d215491256128407e",
    "train/biwi_hotel_train.txt": "f3f485043273e3d972efd73770df0021ec7d3d5135f60d2e2ca5809f68d6f104",
    "train/crowds_zara01_train.txt": "5b2ff1a334f4b3e8595e0ee898874b1795561db7bde97e90cbc4a1382c8c3d56",
    "train/crowds_zara02_train.txt": "9fd606341135d7d211c3af259c9eb2c25e4c7035efc43d3007ceeef6f954b247",
    "train/crowds_zara03_train.txt": "d38a0a6cd1e24adadbb3b15cac97b747e5c6ace2c59d457d805f38a4d91d5a03",
    "train/students001_train.txt": "f41a0a63301e1c15104205c4a1540db477ddc3330ee2801a976d7b9fc238a63e",
    "train/students003_train.txt": "85fe6324e9a0b94acb21617eb0331f543fe5ebf0caee1e253794bca554f35daf",
    "train/uni_examples_train.txt": "06866bea5c2f589094473371e9fb6b653c7af95e5f748434bc1024544c5e1c7a",
    "val/biwi_eth_val.txt": "ed19f8ee52e024788658d70060c1452b991aa506b78ea649c74f79e075ad20b9",
    "val/biwi_hotel_val.txt": "5c6026c5c6feb81295187e2e063d86197344428811ac2ae98a45bdfb5dfa79ed",
    "val/crowds_zara01_val.txt": "d5212e4e3289aa44365e5ce34a476ef2a4208c89bd6a29204ece097c7f33c157",
    "val/crowds_zara02_val.txt": "361949e5655814680e1185bdd23344932f7b6ccc0d7120c34b523495d0fc69f8",
    "val/crowds_zara03_val.txt": "60d464e21fd3851fab146ec3b35d0db4155b3c057f4b46050336eac59314f0f5",
    "val/students001_val.txt": "dc8f3147820e80642903041b017292eb03ea5df81ffd2974b47a725d8ffeb394",
    "val/students003_val.txt": "b7aa6dcedba0e9036272dc363e2a25e6bb80d7485d75dcb3fff918ce01b10e24",
    "val/uni_examples_val.txt": "436dfa865ffab37957e928e227a1b6cc836ab0e6b7652abbf5d06cdf5638dee4",
}
"""Sums of the files, by path."""
