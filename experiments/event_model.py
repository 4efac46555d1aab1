"""Whether event scores that know where a cell is are better than constants, on movies that they were not fitted on.

    python -m experiments.event_model [--trackers Distance Overlap] [--cache FOLDER]

Every movie in turn is left out, the event scores are fitted on all others at the same stride, with errors of the same
kind and links of the same reach, and the one left out is judged. Every movie counts with its first frames, up to
`MOST_CELLS`, so that the largest one does not decide alone.
What is known already is not computed again: it can be stopped and started at any time. Writes
`results/event_model.csv` and `.md`.
"""

import argparse
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from common.data import data_folder
from study.units import MODEL, TRACKERS, find_units, read_unit
from torchtrack_uq.calibration import CalibrationWarning, ScoredMovie, fit_events
from torchtrack_uq.calibration.event_fit import EventFit
from torchtrack_uq.datasets import AnnotatedMovie, CorruptionRates, corrupt
from torchtrack_uq.datasets.points import is_points_folder
from torchtrack_uq.layers import EventModel, EventOffsets, UncertaintyLayer
from torchtrack_uq.links.covariates import with_covariates
from torchtrack_uq.metrics import summarise
from torchtrack_uq.trackers import make_tracker
from torchtrack_uq.truth import judge, judge_events

RESULTS = Path(__file__).parent / "results"
STRIDES = (1, 4)
GAPS = (1, 2)
JUDGED_GAP = 2
"""Frames within which the truth is sought, also for links that span one: what they cannot find counts against them."""
CLEAN, CORRUPTED = "annotated", "with errors"
RATES = CorruptionRates(0.05, 0.01, 0.01, 0.01)
MOST_CELLS = 300
FEWEST_FRAMES = 3
MOST_STEPS = 20
"""Of a fit. Constants have settled after 15, models are within .001 nats a daughter of where they go."""
JUDGED = ("n_daughters", "accuracy", "nll", "ece", "n_after_gap", "accuracy_after_gap")


@dataclass(frozen=True)
class Item:
    """A scored movie and what it is.

    Attributes:
        recording: What must not be in two sets.
        movie: The movie, with covariates and with the truth within `JUDGED_GAP` frames.
    """

    recording: str
    movie: ScoredMovie


def first_frames(movie: AnnotatedMovie, most_cells: int = MOST_CELLS) -> AnnotatedMovie:
    """As many frames as hold so many cells, at least `FEWEST_FRAMES`."""
    cells = movie.detections
    n = int(np.searchsorted(cells.offsets[1:], most_cells)) + 1
    return movie.frames(0, min(max(n, FEWEST_FRAMES), cells.n_frames))


def rates_at(missed: float) -> CorruptionRates:
    """So many cells missed, and a fifth of it each merged, split and made up."""
    return CorruptionRates(missed, missed / 5, missed / 5, missed / 5)


def with_errors(movie: AnnotatedMovie, *, points: bool, rates: CorruptionRates = RATES) -> AnnotatedMovie:
    """Errors at these rates; points can neither merge nor split. Small frames hold fewer, and are taken as they are."""
    rates = replace(rates, merged=0.0, split=0.0) if points else rates
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return corrupt(movie, rates, seed=1, progress=False)


def score(
    tracker: str, cache: Path, strides: Sequence[int] = STRIDES
) -> dict[tuple[int, str, int], list[Item]]:
    """All movies by stride, errors and largest gap."""
    found: dict[tuple[int, str, int], list[Item]] = {}
    for unit in find_units(data_folder(), None, strides):
        if unit.tracker != tracker:
            continue
        file = cache / f"{unit.key}.pt"
        if not file.is_file():
            whole = first_frames(read_unit(unit))
            parts = {}
            for errors in (CLEAN, CORRUPTED):
                movie = whole
                if errors == CORRUPTED:
                    movie = with_errors(whole, points=is_points_folder(unit.folder))
                for gap in GAPS:
                    model = MODEL if tracker == "Transformer" else None
                    made = make_tracker(TRACKERS[tracker], "cpu", model=model, max_gap=gap)
                    with torch.no_grad():
                        graph = made.candidates(movie.detections, movie.movie, progress=False)
                    graph = with_covariates(graph, movie.detections)
                    name = f"{unit.movie} {unit.stride}"
                    parts[errors, gap] = ScoredMovie(name, graph, movie.targets(JUDGED_GAP))
            cache.mkdir(parents=True, exist_ok=True)
            torch.save(parts, file)
        for (errors, gap), scored in torch.load(file, weights_only=False).items():
            found.setdefault((unit.stride, errors, gap), []).append(Item(unit.recording, scored))
    return found


KINDS: dict[str, tuple[type[EventOffsets] | None, float | None]] = {
    "none": (None, None),
    "constants": (EventOffsets, None),
    **{f"model {width:g}": (EventModel, width) for width in (1.0, 3.0)},
}
"""What is compared: event scores, and the width of the prior on what is not constant."""
ORDER = (
    *(("none", gap) for gap in (2, 1)),
    ("constants", 2),
    ("model 1", 2),
    ("constants", 1),
    ("model 3", 2),
)
"""What is computed first, and with links over how many frames. Models only with gaps: sums over pairs of frames take
ten times as long as those over movies, which share out less work."""


def fitted(
    events: EventOffsets | None, width: float | None, movies: Sequence[ScoredMovie]
) -> UncertaintyLayer:
    """A layer with temperature and event scores fitted on these movies; at T = 1 without event scores."""
    layer = UncertaintyLayer("auto", events=events)
    if events is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)
            found: EventFit = fit_events(layer, movies, coefficient_width=width, max_steps=MOST_STEPS)
        assert np.isfinite(found.log_likelihood_after)
    return layer


def rows(tracker: str, cache: Path, file: Path, strides: Sequence[int]) -> None:
    """Judge every movie with what was fitted on the others; lines are appended as soon as they are known."""
    cases = sorted(score(tracker, cache, strides).items(), key=lambda case: (-case[0][2], case[0]))
    done = pd.read_csv(file)[_KEYS] if file.is_file() else pd.DataFrame(columns=_KEYS)
    known = set(done.itertuples(index=False, name=None))
    for name, (kind, width), its_gap in ((name, KINDS[name], gap) for name, gap in ORDER):
        for (stride, errors, gap), items in cases:
            if gap != its_gap:
                continue
            for recording in sorted({item.recording for item in items}):
                key = (tracker, stride, errors, gap, name, recording)
                if key in known:
                    continue
                start = time.perf_counter()
                others = [item.movie for item in items if item.recording != recording]
                layer = fitted(None if kind is None else kind(), width, others)
                judged = [_judged(item.movie, layer) for item in items if item.recording == recording]
                table = pd.DataFrame([dict(zip(_KEYS, key, strict=True)) | row for row in judged])
                table = table.reindex(columns=[*_KEYS, "movie", *JUDGED, *_PARAMETERS])
                table.to_csv(file, mode="a", header=not file.is_file(), index=False, float_format="%.5g")
                print(*key, f"{time.perf_counter() - start:.0f} s", flush=True)


_KEYS = ["tracker", "stride", "errors", "max_gap", "events", "left_out"]
_PARAMETERS = ("temperature", "appear", "disappear", "divide", "miss", "appear_at_border", "disappear_at_border",
               "border_width", "divide_size", "divide_shrinking")  # fmt: skip


@torch.no_grad()
def _judged(movie: ScoredMovie, layer: UncertaintyLayer) -> dict[str, float | str]:
    probabilities = layer(movie.graph)
    found = summarise([judge(probabilities, movie.targets)], [judge_events(probabilities, movie.targets)])
    row: dict[str, float | str] = {"movie": movie.name, "temperature": float(layer.temperature)}
    row |= {name: found.get(name, float("nan")) for name in JUDGED}
    if layer.events is not None:
        row |= layer.events.values
    if isinstance(layer.events, EventModel):
        row |= layer.events.coefficients
    return row


def report(table: pd.DataFrame) -> str:
    """The tables of the page."""
    keys = _KEYS[:-1]
    n_left_out = table.groupby(keys)["left_out"].transform("nunique")
    whole = n_left_out == n_left_out.max()
    lacking = list(table.loc[~whole, keys].drop_duplicates().itertuples(index=False, name=None))
    table = table[whole]
    means = table.groupby(keys, sort=True).apply(_mean, include_groups=False).reset_index()
    fits = table.drop_duplicates([*keys, "left_out"])
    constants = fits[fits["events"] == "constants"].groupby(keys)[list(_PARAMETERS[:5])]
    spread = constants.agg(lambda x: f"{x.median():.2f} ({x.min():.2f} to {x.max():.2f})").reset_index()
    models = fits[fits["events"].str.startswith("model")].groupby(keys)[[*_PARAMETERS[5:]]]
    nll = table[table["max_gap"] == JUDGED_GAP].pivot_table(
        index=["tracker", "errors", "movie"], columns="events", values="nll"
    )
    sections = [
        "# Event scores that know where a cell is, on movies left out",
        f"Made by `experiments/event_model.py`. Method `auto`. Movies with their first frames, to {MOST_CELLS} cells "
        f"(at least {FEWEST_FRAMES} frames). Errors: {RATES.missed:.0%} missed, {RATES.merged:.0%} merged, "
        f"{RATES.split:.0%} split, {RATES.false:.0%} made up; points are neither merged nor split. The truth is the "
        f"nearest detected ancestor within {JUDGED_GAP} frames, whatever links may span. `none`: the tracker's own "
        "event scores at T = 1; `constants`: `EventOffsets`; `model w`: `EventModel` with priors of width w. Fitted on "
        "the other movies at that stride, with masks of that kind.",
        "Sums over movies with gaps are estimates with looser bounds than those over pairs of frames, since a movie "
        "has the budget of one problem. Few cells were missed (`n_after_gap`): a few per cent more or less "
        "right are noise.",
        *(
            f"Stopped before all movies had been left out, so not shown: {', '.join(map(str, key))}."
            for key in lacking
        ),
        "## Means over movies",
        means.to_markdown(index=False, floatfmt=".3f"),
        "## Model of width 1 against constants",
        "Change of NLL, with its standard error over movies.",
        _changes(nll).to_markdown(index=False, floatfmt="+.3f"),
        f"## NLL by movie, links up to {JUDGED_GAP} frames",
        nll.reset_index().to_markdown(index=False, floatfmt=".3f"),
        "## Constants that come out",
        "Median over the movies left out, and range. Offsets are added to the tracker's own scores divided by T; only "
        "appear + disappear and disappear + divide are told apart by data.",
        spread.to_markdown(index=False),
        "## Coefficients of the model",
        "Medians over the movies left out.",
        models.median().reset_index().to_markdown(index=False, floatfmt=".2f"),
    ]
    return "\n\n".join(sections) + "\n"


def _changes(nll: pd.DataFrame) -> pd.DataFrame:
    change = (nll["model 1"] - nll["constants"]).dropna()
    stride = change.index.get_level_values("movie").str.split().str[-1]
    rows = []
    for (errors, its_stride), x in change.groupby([change.index.get_level_values("errors"), stride]):
        row = {"errors": errors, "stride": its_stride, "change": x.mean(), "standard error": x.sem()}
        rows.append(
            row | {"better": f"{int((x < 0).sum())} of {len(x)}", "worst": x.max(), "on": x.idxmax()[-1]}
        )
    return pd.DataFrame(rows)


def _mean(group: pd.DataFrame) -> pd.Series:
    found = group[["accuracy", "nll", "ece"]].mean()
    known = group.dropna(subset=["accuracy_after_gap"])
    n = known["n_after_gap"].sum()
    right = (known["accuracy_after_gap"] * known["n_after_gap"]).sum()
    found["accuracy_after_gap"] = right / n if n else float("nan")
    found["n_after_gap"] = n
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trackers", nargs="+", default=["Distance", "Overlap"], choices=list(TRACKERS))
    parser.add_argument("--strides", nargs="+", type=int, default=list(STRIDES))
    parser.add_argument("--cache", type=Path, default=Path("/tmp/event_model"))
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    file = options.output / "event_model.csv"
    for tracker in options.trackers:
        rows(tracker, options.cache, file, options.strides)
    file.with_suffix(".md").write_text(report(pd.read_csv(file)))


if __name__ == "__main__":
    main()
