"""Should a calibration of small_2d come with event scores? Fitted to other movies, against what `track` does without.

Temperature and event scores are fitted together to the movies of `experiments.small_2d.fit`, every kind of movie that
the model never saw left out in turn, and judged on it: with masks as annotated and with errors in them. No prior is
given to the fit, since the one that ships has seen the movies. Against it stand the tracker's own event scores, and the
default without annotation: the mean of a prior that was learned without that kind, taken from
`experiments/results/movie_prior.csv`.

    python -m experiments.small_2d.judge_events [DATA] [--cache FOLDER]
"""

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from benchmarks.machine import describe_machine
from common.data import CHECKOUT, data_folder
from common.results import write_results
from experiments.prior.units import Item, find_items, score_item
from experiments.small_2d.fit import held_out_movies
from torchtrack_uq import UncertaintyLayer
from torchtrack_uq.calibration import ScoredMovie, fit_events
from torchtrack_uq.layers import EventOffsets
from torchtrack_uq.metrics import summarise
from torchtrack_uq.trackers.registry import DEFAULT_MAX_GAP
from torchtrack_uq.truth.judged import judge

RESULTS = Path(__file__).parents[1] / "results"
OWN, FITTED, DEFAULT = "auto, T = 1", "T and events of other movies", "auto, no annotation"
SHOWN = ("nll", "ece", "accuracy")
CLOSE = 1e-3
"""Nats; how near the NLL at T = 1 is to that in `movie_prior.csv`, if scores are the same."""


def main() -> None:
    """Fit, judge, write the page and its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=data_folder())
    parser.add_argument("--cache", type=Path, default=CHECKOUT / ".cache" / "prior")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    pool = held_out_movies(options.data, max_gap=DEFAULT_MAX_GAP)
    known = pd.read_csv(RESULTS / "movie_prior.csv")
    known = known[(known["tracker"] == "Transformer") & (known["max_gap"] == DEFAULT_MAX_GAP)]
    items = find_items(options.data, "Transformer", strides=(1,))
    items = [item for item in items if item.unit.movie in set(known["movie"])]  # that the model never saw
    fits = {kind: _fitted(kind, pool) for kind in sorted({item.kind for item in items})}
    rows = [row for item in items for row in _judged(item, fits[item.kind], known, options.cache)]
    table = pd.DataFrame(rows).round(5)
    write_results(options.output, "small_2d_events", _page(table), {"small_2d_events": table})


def _fitted(kind: str, pool: dict[str, ScoredMovie]) -> UncertaintyLayer:
    """Without movies of a kind; frame rates of one recording are one kind."""
    movies = [movie for name, movie in pool.items() if not name.startswith(kind)]
    layer = UncertaintyLayer("auto", events=EventOffsets())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit_events(layer, movies)
    return layer


@torch.no_grad()
def _judged(
    item: Item, fitted: UncertaintyLayer, known: pd.DataFrame, cache: Path
) -> Iterator[dict[str, object]]:
    """Rows of a movie: the tracker's own scores, those of the other movies, and the prior as it was judged before.

    Raises:
        RuntimeError: The prior was judged on other scores.
    """
    before = known[(known["movie"] == item.unit.movie) & (known["stride"] == 1)]
    before = before[before["rate"] == item.rate].set_index("how")
    movie = score_item(item, cache, max_gap=DEFAULT_MAX_GAP)
    for how, used in ((OWN, UncertaintyLayer("auto")), (FITTED, fitted)):
        found = summarise([judge(used(movie.graph), movie.targets)])
        if how == OWN and abs(found["nll"] - before.loc[OWN, "nll"]) > CLOSE:
            raise RuntimeError(
                f"{item.key} is not what movie_prior.csv was made of: run experiments.prior again"
            )
        offsets = {} if used.events is None else used.events.values
        values = {name: found[name] for name in SHOWN}
        yield {**item.columns, "how": how, **values, "temperature": float(used.temperature), **offsets}
    columns = [*SHOWN, "temperature", "appear", "disappear", "divide", "miss"]
    yield {**item.columns, "how": DEFAULT, **before.loc[DEFAULT, columns].to_dict()}


def _page(table: pd.DataFrame) -> list[str]:
    means = table.groupby(["rate", "how"], sort=False)[list(SHOWN)].mean().reset_index()
    shown = table.drop(columns=["tracker", "kind", "stride"])
    return [
        "# Event scores for small_2d: of other movies, or of a prior?",
        "",
        " ".join((__doc__ or "").split("\n\n")[1].split()),
        "",
        f"Links over up to {DEFAULT_MAX_GAP} frames, every frame (stride 1), method auto. Rate: share of missed cells. "
        f"{describe_machine()}",
        "",
        means.to_markdown(index=False, floatfmt=".4f"),
        "",
        shown.to_markdown(index=False, floatfmt=".4f", missingval=""),
        "",
    ]


if __name__ == "__main__":
    main()
