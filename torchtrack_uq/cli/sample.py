"""`torchtrack-uq sample`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.values import share
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.files import check_output_file, write_together
from torchtrack_uq.utils.output_checks import check_file_apart
from torchtrack_uq.utils.staged_folder import recover_results

if TYPE_CHECKING:
    import pandas as pd


def add_commands(commands: Any) -> None:
    """Add `sample` to a parser's commands."""
    sample = commands.add_parser(
        "sample",
        help="draw daughters to annotate: more doubtful ones, and each with the weight that keeps estimates unbiased",
    )
    sample.add_argument("results", type=Path, metavar="OUT", help="folder that `torchtrack-uq track` wrote")
    sample.add_argument("-n", type=int, default=100, help="how many daughters (default: %(default)s)")
    sample.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="gets the list (CSV): frame, label, empty columns verdict, mother_frame and mother to fill in, weight",
    )
    sample.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
    sample.add_argument(
        "--random",
        type=share,
        metavar="SHARE",
        help="share of the list that is spread evenly over all daughters; the rest prefers doubtful decisions. Above "
        "0; 1 is best for --accept-error, see docs/guarantees.md (default: 0.5)",
    )
    sample.add_argument("--overwrite", action="store_true", help="replace an earlier list, answers included")
    sample.set_defaults(run=_sample)


def _sample(options: argparse.Namespace) -> None:
    if options.output.is_dir():
        raise InputError(f"{options.output} is a folder; expected a file to write, such as to_annotate.csv")
    if options.output.exists() and not options.overwrite:
        raise InputError(
            f"{options.output} exists and may hold somebody's answers; give another name, or --overwrite"
        )
    from torchtrack_uq.results.own_files import own_files

    check_output_file(options.output, overwrite=True)
    check_file_apart(options.output, own_files(options.results))
    import pandas as pd

    from torchtrack_uq.guarantees.annotation_sample import RANDOM
    from torchtrack_uq.results.to_annotate import is_first, to_annotate
    from torchtrack_uq.utils.formula_cells import guarded

    recover_results(options.results)
    random = RANDOM if options.random is None else options.random
    cells, links = (_read(options.results / name) for name in ("cells.csv", "links.csv"))
    table = to_annotate(cells, links, options.n, seed=options.seed, random=random)
    words = [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    table = table.assign(**{name: table[name].map(guarded, na_action="ignore") for name in words})
    content = table.to_csv(index=False, float_format="%.10g", lineterminator="\n").encode()
    write_together({options.output: content}, overwrite=options.overwrite)
    print(
        f"{len(table)} of {int((~is_first(cells, links)).sum())} daughters are in {options.output}, in random order; "
        "fill in verdict: mother (and mother_frame, mother), none, or bad for what is no cell"
    )
    print(
        f"each stands for {table['weight'].min():.3g} to {table['weight'].max():.3g} daughters (column weight)"
    )


def _read(file: Path) -> "pd.DataFrame":
    from torchtrack_uq.results.saved_tracks import read_with_names

    try:
        return read_with_names(file)
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing; expected a folder that `torchtrack-uq track` wrote") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as a table: {error}") from error
