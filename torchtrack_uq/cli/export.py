"""`torchtrack-uq export`."""

import argparse
from pathlib import Path
from typing import Any

from torchtrack_uq.utils.files import check_output_file
from torchtrack_uq.utils.output_checks import check_file_apart

_FORMATS = {
    "napari-csv": "a table for napari-track-edit (Motile Tracker) and funtracks",
    "mastodon": "a table for Mastodon's CSV importer",
    "trackmate": "an XML file for TrackMate",
    "parquet": "all candidate links as Parquet",
}
"""Those of `torchtrack_uq.results.track_files`, which would load pandas and torch for a help text."""


def add_commands(commands: Any) -> None:
    """Add `export` to a parser's commands."""
    export = commands.add_parser("export", help="write the tracks of a folder of results for another program")
    export.add_argument("results", type=Path, metavar="OUT", help="folder that `torchtrack-uq track` wrote")
    export.add_argument(
        "--to",
        required=True,
        choices=tuple(_FORMATS),
        help="; ".join(f"{name}: {summary}" for name, summary in _FORMATS.items()),
    )
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="file to write")
    export.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    export.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    from torchtrack_uq.results.own_files import own_files

    check_output_file(options.output, options.overwrite)
    check_file_apart(options.output, own_files(options.results))
    from torchtrack_uq.results.saved_tracks import SavedTracks
    from torchtrack_uq.results.track_files import export_tracks

    tracks = SavedTracks.read(options.results)
    export_tracks(tracks, options.to, options.output, overwrite=options.overwrite)
    unit = "pixels" if tracks.voxel_size is None or options.to in ("napari-csv", "parquet") else "micrometres"
    print(
        f"{len(tracks.cells)} cells and {len(tracks.edges)} links are in {options.output}"
        + ("" if options.to == "parquet" else f", places in {unit}")
    )
