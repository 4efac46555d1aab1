"""Should a calibration of small_2d come with event scores? Fitted to other movies, against what `track` does without.

Temperature and event scores are fitted together to the movies of `experiments.small_2d.fit`, every kind of movie that
the model never saw left out in turn, and judged on it: with masks as annotated and with errors in them. Against them
stand the tracker's own event scores, and the default without annotation: the mean of a prior that was learned without
that kind, taken from `experiments/results/movie_prior.csv`.

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
from experiments.prior.units import RATES, Item, find_items, score_item
from experiments.small_2d.fit import held_out_movies
from torchtrack_uq import UncertaintyLayer
from torchtrack_uq.calibration import ScoredMovie, fit_events
from torchtrack_uq.layers import EventOffsets
from torchtrack_uq.metrics import summarise
from torchtrack_uq.trackers.registry import DEFAULT_MAX_GAP
from torchtrack_uq.truth.judged import judge

RESULTS = Path(__file__).parents[1] / "results"
FITTED, OWN, DEFAULT = "T and events of other movies", "auto, T = 1", "auto, no annotation"
SHOWN = ("nll", "ece", "accuracy")


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
    rows = [row for item in _items(options.data, known) for row in _judged(item, pool, known, options.cache)]
    table = pd.DataFrame(rows).round(5)
    write_results(options.output, "small_2d_events", _page(table), {"small_2d_events": table})


def _items(data: Path, known: pd.DataFrame) -> list[Item]:
    """Movies that the model never saw, at every frame, as the prior was judged on them."""
    never = set(known["movie"])
    items = find_items(data, "Transformer", strides=(1,))
    return [item for item in items if item.unit.movie in never and item.rate in RATES]


_FITS: dict[str, UncertaintyLayer] = {}


def _fitted(kind: str, pool: dict[str, ScoredMovie]) -> UncertaintyLayer:
    """Without movies of a kind; frame rates of one recording are one kind."""
    if kind not in _FITS:
        layer = UncertaintyLayer("auto", events=EventOffsets())
        fit_events(layer, [movie for name, movie in pool.items() if not name.startswith(kind)])
        _FITS[kind] = layer
    return _FITS[kind]


@torch.no_grad()
def _judged(
    item: Item, pool: dict[str, ScoredMovie], known: pd.DataFrame, cache: Path
) -> Iterator[dict[str, object]]:
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        layer = _fitted(item.kind, pool)
    movie = score_item(item, cache, max_gap=DEFAULT_MAX_GAP)
    for how, used in ((OWN, UncertaintyLayer("auto")), (FITTED, layer)):
        found = summarise([judge(used(movie.graph), movie.targets)])
        offsets = {} if used.events is None else used.events.values
        values = {name: found[name] for name in SHOWN}
        yield {**item.columns, "how": how, **values, "temperature": float(used.temperature), **offsets}
    same = known[
        (known["movie"] == item.unit.movie) & (known["stride"] == 1) & (known["rate"] == item.rate)
    ].set_index("how")
    if (
        abs(
            same.loc[OWN, "nll"]
            - summarise([judge(UncertaintyLayer("auto")(movie.graph), movie.targets)])["nll"]
        )
        > 1e-3
    ):
        raise RuntimeError(f"{item.key} is not what movie_prior.csv was made of; run experiments.prior again")
    columns = [*SHOWN, "temperature", "appear", "disappear", "divide", "miss"]
    yield {**item.columns, "how": DEFAULT, **same.loc[DEFAULT, columns].to_dict()}


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
        shown.to_markdown(index=False, floatfmt=".4f"),
        "",
    ]


if __name__ == "__main__":
    main()
