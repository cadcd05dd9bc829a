"""`embodied-gen data`: recordings of pedestrians and road users are checked and counted, or made; outlines of maps."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from embodied_gen import well_known_text
from embodied_gen.commands import map_outlines
from embodied_gen.commands.console import console, parse
from embodied_gen.commands.named_files import files_of
from embodied_gen.commands.road_users import recordings_of
from embodied_gen.forecasting import eth_ucy, track_file, walls
from embodied_gen.forecasting.tracks import PERIOD, Tracks, in_a_row, on_grid, told
from embodied_gen.forecasting.windows import PROTOCOLS, Protocol, windows_of
from envs.crowd_layout import EVERY
from envs.social_force import walked

_STEP = 10  # of the frames of files that are made, as in ETH and UCY
_BETWEEN = 10  # steps from one recording to the next


@dataclass
class Arguments:
    """Checks and counts recordings of pedestrians, or makes some, or the outlines of what lies on maps.

    eth-ucy compares the files of ETH and UCY with their sums, and says what is in them, how many windows and tracks
    every protocol has, and what is dropped. crowd writes the tracks of people who cross a plaza by social forces, in
    the same format. commonroad writes those of the moving road users of CommonRoad files, read every 0.4 s; the
    recordings follow each other with a gap, and nobody is in two of them. A config with data.kind tracks learns from
    such files. outlines writes those of lanes and areas on maps, a polygon a line in well-known text, in the order of
    the files; a config with data.kind outlines learns from them.
    """

    what: tyro.conf.Positional[str]
    """eth-ucy, crowd, commonroad or outlines."""
    from_: Annotated[tuple[str, ...], tyro.conf.arg(name="from")] = ()
    """eth-ucy: folder with all_data, train and val; experiments/pedestrians/raw/raw of the Trajectron++ repository.
    commonroad: files, or folders of files *.xml. outlines: the same, and Lanelet2 files *.osm."""
    kinds: tuple[str, ...] = ()
    """commonroad: types of road users that are kept, such as car and pedestrian; all where none is named.
    outlines: lane where none is named, or areas of Lanelet2 files and terrains: road, walkway, vegetation, parking,
    obstacle."""
    terrains: int = 0
    """outlines: generated terrains whose areas are written, too."""
    correct_rate: tyro.conf.FlagCreatePairsOff[bool] = False
    """eth-ucy: read biwi_eth at its true rate, which published numbers do not."""
    drop_gaps: tyro.conf.FlagCreatePairsOff[bool] = False
    """eth-ucy: drop windows that straddle missing frames."""
    out: str | None = None
    """crowd, commonroad and outlines: text file to write."""
    minutes: float = 10.0
    """crowd: how long people are watched."""
    people: int = 24
    """crowd: on the plaza all the time."""
    half: float = 8.0
    """crowd: half of the width of the plaza [m]."""
    map: str | None = None
    """crowd: file of convex walls to walk around, a line of well-known text for each, such as POLYGON ((...))."""
    seed: int = 0
    """crowd: of everything. outlines: of the first terrain."""


def main(arguments: list[str]) -> None:
    """Runs the verb."""
    parsed = parse(Arguments, "data", arguments)
    if parsed.what not in KINDS:
        raise ValueError(f"there are no data {parsed.what!r}; expected one of {', '.join(KINDS)}.")
    KINDS[parsed.what](parsed)


def _eth_ucy(parsed: Arguments) -> None:
    if len(parsed.from_) != 1:
        raise ValueError("eth-ucy needs the folder of the files: --from FOLDER.")
    folder = Path(parsed.from_[0])
    parts = [(part, name) for part in ("all_data", "train", "val") for name in eth_ucy.RECORDINGS]
    found = {(part, name): eth_ucy.read_part(folder, part, name) for part, name in parts}
    if parsed.correct_rate:
        found = {key: eth_ucy.corrected(tracks) for key, tracks in found.items()}
    console.print(f"{len(found)} files in {folder} have the sums that are expected", soft_wrap=True)
    for name in eth_ucy.RECORDINGS:
        _say(f"{name}: {_described(found['all_data', name])}")
    for scene in eth_ucy.SCENES:
        for protocol in PROTOCOLS:
            tested = [found["all_data", name] for name in eth_ucy.TESTS[scene]]
            _say(f"{scene}, {protocol.name}: {_counted(tested, protocol, parsed.drop_gaps)}")


def _crowd(parsed: Arguments) -> None:
    if parsed.out is None:
        raise ValueError("crowd needs a file to write: --out FILE.")
    frames = round(60 * parsed.minutes / PERIOD)
    if parsed.people < 1 or not parsed.half >= 2 or frames < track_file.LEAST:
        raise ValueError(
            f"a crowd needs 1 person, 2 m and {track_file.LEAST} frames at least; got {parsed.people} people, "
            f"{parsed.half} m and {frames} frames. Raise --people, --half or --minutes."
        )
    generator = np.random.default_rng(parsed.seed)
    obstacles = [] if parsed.map is None else walls.read(Path(parsed.map))
    at, who = walked(parsed.people, frames, half=parsed.half, every=EVERY, generator=generator, obstacles=obstacles)
    number = torch.arange(0, frames * _STEP, _STEP).repeat_interleave(parsed.people)
    rows = torch.from_numpy(who).long().flatten(), torch.from_numpy(at).flatten(0, 1)
    _write(on_grid(number, *rows, step=_STEP, source=parsed.out))


def _commonroad(parsed: Arguments) -> None:
    if parsed.out is None or not parsed.from_:
        raise ValueError("commonroad needs files to read and a file to write: --from FOLDER_OR_FILES --out FILE.")
    recordings, lines = recordings_of(files_of(parsed.from_, ("xml",), "CommonRoad"), parsed.kinds)
    for line in lines:
        _say(line)
    tracks = in_a_row(recordings, step=_STEP, between=_BETWEEN, source=parsed.out)
    if len(tracks.frames) < track_file.LEAST:
        raise ValueError(
            f"the recordings have {len(tracks.frames)} frames of {PERIOD} s together, fewer than the "
            f"{track_file.LEAST} that a forecaster observes. Name more files in --from."
        )
    _write(tracks, who="road users")


def _outlines(parsed: Arguments) -> None:
    if parsed.out is None or not (parsed.from_ or parsed.terrains):
        raise ValueError(
            "outlines need maps and a file to write: --from FILES_OR_FOLDERS --out FILE, or --terrains COUNT --kinds "
            "obstacle --out FILE."
        )
    kinds = parsed.kinds or (map_outlines.LANE,)
    map_outlines.check_kinds(kinds, parsed.terrains)
    files = files_of(parsed.from_, ("osm", "xml"), "CommonRoad or Lanelet2")
    parts = [map_outlines.of_file(file, kinds) for file in files]
    if parsed.terrains:
        parts.append(map_outlines.of_terrains(parsed.terrains, kinds, parsed.seed))
    for _, line in parts:
        _say(line)
    found = [outline for outlines, _ in parts for outline in outlines]
    if not found:
        raise ValueError(f"there are no outlines of kind {', '.join(kinds)} on these maps. Name others in --from.")
    well_known_text.write(Path(parsed.out), found)
    _say(f"{parsed.out}: {len(found)} outlines")


def _write(tracks: Tracks, who: str = "pedestrians") -> None:
    """Writes tracks to the file that they name as their source, and says what is in it."""
    track_file.write(Path(tracks.source), tracks)
    _say(f"{tracks.source}: {_described(tracks, who)}")
    for protocol in PROTOCOLS:
        _say(f"{protocol.name}: {_counted([tracks], protocol, drop_gaps=False)}")


def _described(tracks: Tracks, who: str = "pedestrians") -> str:
    return (
        f"{tracks.rows} rows, {len(tracks.frames)} frames, {len(tracks.pedestrians)} {who}, {told(tracks.gaps)}; "
        f"median speed {float(tracks.speeds().median()):.2f} m/s"
    )


def _counted(tracks: list[Tracks], protocol: Protocol, drop_gaps: bool) -> str:
    try:
        windows = windows_of(tracks, protocol)
    except ValueError as nothing:
        return str(nothing)  # of one protocol; others may have windows
    across = int(windows.straddles.sum())
    if drop_gaps:
        windows = windows.contiguous()
    return f"{len(windows)} windows, {len(windows.tracks)} tracks, {across} windows across gaps; {windows.dropped}"


def _say(line: str) -> None:
    console.print(line, soft_wrap=True, markup=False)


KINDS: dict[str, Callable[[Arguments], None]] = {
    "eth-ucy": _eth_ucy,
    "crowd": _crowd,
    "commonroad": _commonroad,
    "outlines": _outlines,
}
