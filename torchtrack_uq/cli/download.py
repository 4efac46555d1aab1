"""`torchtrack-uq download`."""

import argparse
from pathlib import Path
from typing import Any

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.ending_signals import Stopped
from torchtrack_uq.utils.optional import import_optional


def add_commands(commands: Any) -> None:
    """Add `download` to a parser's commands."""
    download = commands.add_parser(
        "download", help="get published annotated movies; goes on where it stopped"
    )
    download.add_argument(
        "names", nargs="*", metavar="NAME", help="data set, such as Fluo-N2DL-HeLa; see --list"
    )
    download.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("data"),
        metavar="FOLDER",
        help="gets a folder NAME for each (default: %(default)s)",
    )
    download.add_argument("--list", action="store_true", help="list the data sets and their terms of use")
    download.add_argument("--any-version", action="store_true", help="take an archive whatever its hash is")
    download.add_argument("--keep-archive", action="store_true", help="leave NAME.zip after unpacking")
    download.add_argument("--quiet", action="store_true", help="no progress bars")
    download.set_defaults(run=_download)


def _download(options: argparse.Namespace) -> None:
    from torchtrack_uq.datasets.published.catalogue import CATALOGUE, find_dataset

    if options.list:
        width = max(map(len, CATALOGUE))
        for name, dataset in CATALOGUE.items():
            print(f"{name:{width}}  {dataset.what}")
        for terms in dict.fromkeys(dataset.terms for dataset in CATALOGUE.values()):
            print(f"\n{terms}")
        return
    if not options.names:
        raise InputError("no data set was named; `torchtrack-uq download --list` lists them")
    for module in ("pooch", "requests"):
        import_optional(module, "download", "downloading")
    from torchtrack_uq.datasets.published.download import download_dataset

    datasets = [find_dataset(name) for name in options.names]
    for dataset in datasets:
        try:
            folder = download_dataset(
                dataset,
                options.output,
                any_version=options.any_version,
                keep_archive=options.keep_archive,
                progress=not options.quiet,
            )
        except KeyboardInterrupt as interrupt:
            said = str(interrupt) or "interrupted"
            said += "; what was downloaded is kept, and the same command goes on from there"
            if isinstance(interrupt, Stopped):
                raise Stopped(said, interrupt.number) from interrupt
            raise KeyboardInterrupt(said) from interrupt
        sequences = sorted(gt.name.removesuffix("_GT") for gt in folder.glob("*_GT"))
        print(f"{dataset.name} is in {folder}" + (f", sequences {', '.join(sequences)}" if sequences else ""))
        print(f"  terms: {dataset.terms}")
