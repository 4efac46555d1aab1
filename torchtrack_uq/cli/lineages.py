"""`torchtrack-uq lineages`."""

import argparse
from pathlib import Path
from typing import Any

from torchtrack_uq.cli.values import share
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.files import check_output_file, write_together
from torchtrack_uq.utils.output_checks import check_file_apart

_NEARLY_ALL = 0.99


def add_commands(commands: Any) -> None:
    """Add `lineages` to a parser's commands."""
    lineages = commands.add_parser(
        "lineages",
        help="count lineages, births, deaths and divisions of a tracked movie, with credible intervals and a picture",
    )
    lineages.add_argument("results", type=Path, metavar="OUT", help="folder that `torchtrack-uq track` wrote")
    lineages.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="gets the table (CSV): quantity, unit, frame, mean, low, high; the picture goes beside it (.png)",
    )
    lineages.add_argument(
        "-n",
        type=int,
        metavar="N",
        help="how many histories are drawn (default: 1000, fewer for movies of more than 20,000 cells)",
    )
    lineages.add_argument(
        "--level", type=share, default=0.9, help="probability that an interval holds (default: 90%%)"
    )
    lineages.add_argument("--overwrite", action="store_true", help="replace an earlier table and picture")
    lineages.set_defaults(run=_lineages)


def _lineages(options: argparse.Namespace) -> None:
    from torchtrack_uq.results.own_files import own_files

    picture = options.output.with_suffix(".png")
    if options.output.suffix != ".csv":
        raise InputError(f"{options.output} is no name of a table; expected a file that ends in .csv")
    for file in (options.output, picture):
        if file.is_dir():
            raise InputError(f"{file} is a folder; expected a file to write, such as lineages.csv")
        if file.exists() and not options.overwrite:
            raise InputError(f"{file} exists; give another name, or --overwrite")
        check_output_file(file, options.overwrite)
        check_file_apart(file, own_files(options.results))
    import io

    from torchtrack_uq.results.tracking_result import TrackingResult
    from torchtrack_uq.utils.optional import import_optional

    import_optional("matplotlib", "files", "drawing lineages")
    from torchtrack_uq.results.lineage_picture import draw_lineages

    result = TrackingResult.load(options.results)
    found = result.lineage_statistics(options.n, options.level)
    cells, drawn = result.detections, io.BytesIO()
    draw_lineages(found, cells.naming.per_number(cells.interval)).savefig(drawn, format="png")
    text = found.table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_together({options.output: text.encode(), picture: drawn.getvalue()}, overwrite=options.overwrite)
    whole = found.table[found.table["frame"].isna()]
    for row in whole.to_dict("records"):
        print(f"{row['quantity']}: {row['mean']:.4g} ({row['low']:.4g} to {row['high']:.4g}) {row['unit']}")
    if found.exact < 1:
        share = f"{1 - found.exact:.0%}" if found.exact < _NEARLY_ALL else "fewer than 1%"
        print(
            f"links of {share} of the cells are too ambiguous to be summed over: their histories are from Markov "
            "chains, an estimate"
        )
    if not result.calibrated:
        print(
            "the scores are not calibrated on your own cells: true counts may lie far outside these intervals, which "
            "hold what links leave open if the scores are right. Fit first (docs/guides/calibrate.md)"
        )
    print(f"{options.level:.0%} intervals are in {options.output}, the picture in {picture}")
