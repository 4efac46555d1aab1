"""`torchtrack-uq info`."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.movie_arguments import add_reading_arguments, add_scale_arguments, reading_of, scale_of
from torchtrack_uq.errors import InputError

if TYPE_CHECKING:
    from torchtrack_uq.movies.movie import Movie
    from torchtrack_uq.movies.source import FrameSource


def add_commands(commands: Any) -> None:
    """Add `info` to a parser's commands."""
    info = commands.add_parser(
        "info", help="say what is seen in a movie's files, and which command comes next"
    )
    info.add_argument("movie", metavar="MOVIE", help="images, or masks, or a folder with both")
    info.add_argument("masks", metavar="MASKS", nargs="?", help="its label masks, where MOVIE has none")
    add_scale_arguments(info)
    add_reading_arguments(info)
    info.set_defaults(run=_info)


def _info(options: argparse.Namespace) -> None:
    from torchtrack_uq.movies.folder_names import holds_both, is_mask
    from torchtrack_uq.movies.frames import open_frames
    from torchtrack_uq.movies.movie import Movie
    from torchtrack_uq.movies.ome_zarr import has_labels

    path = Path(options.movie).expanduser()
    masks = options.masks
    if masks is None and path.is_dir() and (has_labels(path) or holds_both(path)):
        masks = options.movie
    if masks is not None:
        opened = Movie.open(options.movie, masks, **scale_of(options), **reading_of(options))
        assert opened.images is not None
        print("\n".join(_said("images", opened.images, opened) + _said("masks", opened.masks, opened)))
        trust = _print_oddities(opened)
        print(
            f"track it: torchtrack-uq track -i {_quoted(options.movie)} -m {_quoted(masks)} -o OUT"
            f"{_options(options)}{trust}"
        )
        return
    reading = reading_of(options)
    mask_channel = reading.pop("mask_channel")
    if mask_channel is not None:
        raise InputError("--mask-channel is of MASKS, which are missing; give them after MOVIE")
    source = open_frames(options.movie, "the movie", **reading)
    labels = source.dtype.kind in "iu" and (_looks_labelled(source) or is_mask(_a_file(source, path)))
    print("\n".join(_said("masks" if labels else "images", source)))
    if labels:
        trust = _print_oddities(Movie(source))
        options.mask_channel, options.channel = options.channel, None  # what the same option is called there
        print(
            f"track it: torchtrack-uq track -m {_quoted(options.movie)} -o OUT{_options(options)}"
            f"{trust}, with -i IMAGES where there are any"
        )
    else:
        print(
            "tracking needs label masks, one number a cell: make them with Cellpose or StarDist, then type "
            f"torchtrack-uq info {_quoted(options.movie)} MASKS"
        )


def _said(what: str, source: "FrameSource", movie: Any = None) -> list[str]:
    """One fact a line."""
    from torchtrack_uq.movies.in_one_line import scale_in_words, size_of
    from torchtrack_uq.movies.numbering import in_words

    reading = source.reading
    of_masks = what == "masks"
    scale = scale_in_words(
        source.voxel_size if movie is None else movie.voxel_size,
        source.interval if movie is None else movie.interval,
    )
    facts = {
        "format": reading.format,
        "axes": reading.axes,
        "frames": size_of(source),
        "type": str(source.dtype),
        "scale": ", ".join(scale) or "not stated (--voxel-size, --interval)",
        "channels": _channels(reading.channels, reading.channel),
        "missing": f"frames {in_words(reading.missing)}" if reading.missing else "",
        "labels": _labels(source) if of_masks else "",
        "note": "; ".join(reading.notes),
    }
    lines = [f"{what}: {source.name}"]
    return lines + [f"  {name + ':':10}{fact}" for name, fact in facts.items() if fact]


def _print_oddities(movie: "Movie") -> str:
    """What looks odd in a few frames; and what tracking it all the same takes, where it would be refused."""
    from torchtrack_uq.movies.sanity import movie_findings

    found = movie_findings(movie)
    for finding in found:
        print(f"{'refused' if finding.refused else 'odd'}: {finding.sentence}")
    return " --trust-masks" if any(finding.refused for finding in found) else ""


def _channels(names: tuple[str, ...], chosen: int) -> str:
    if len(names) < 2:
        return names[0] if names and names[0] else ""
    every = ", ".join(f"{i + 1} {name}".strip() for i, name in enumerate(names))
    return f"{every}; taken: {chosen + 1}"


def _labels(source: "FrameSource") -> str:
    import numpy as np

    def count(t: int) -> int:
        return int(np.count_nonzero(np.unique(source.read(t))))

    return f"{count(0)} in the first frame, {count(source.n_frames - 1)} in the last"


def _looks_labelled(source: "FrameSource") -> bool:
    """Whether the first frame has labels that do not look like grey values."""
    from torchtrack_uq.movies.mask_look import MaskLook
    from torchtrack_uq.movies.sanity import looks_like_grey_values

    look = MaskLook.of([(0, source.read(0))])
    return look.n > 0 and not looks_like_grey_values(look)


def _a_file(source: "FrameSource", path: Path) -> Path:
    return Path(source.reading.files[0]) if source.reading.files else path


def _quoted(path: str) -> str:
    return shlex.quote(str(path))


def _options(options: argparse.Namespace) -> str:
    """The options that the next command needs as well."""
    said = []
    for name in ("axes", "channel", "mask_channel", "scene", "interval"):
        value = getattr(options, name)
        if value is not None:
            said.append(f"--{name.replace('_', '-')} {shlex.quote(str(value))}")
    if options.voxel_size is not None:
        said.append("--voxel-size " + ",".join(f"{edge:g}" for edge in options.voxel_size))
    if options.missing_frames != "refuse":
        said.append(f"--missing-frames {options.missing_frames}")
    return "".join(f" {one}" for one in said)
