"""Whether the doubts about another tracker's links are right: LapTrack on annotated movies, scored by `score_tracks`.

LapTrack links the annotated cells by centroid. Each of its links has a probability under the distance scorer, and the
annotation says whether it is right. Four ways to come to a temperature and event scores; see the page that this writes.

    python -m experiments.doubt_laptrack [DATA] [--cache FOLDER]
"""

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from laptrack import LapTrack

from benchmarks.machine import describe_machine
from common.data import CHECKOUT, data_folder
from common.results import write_results
from experiments.prior.__main__ import Fits, chosen_items
from experiments.prior.judge import fitted_items, parameters
from experiments.prior.units import EMBRYOS
from study.units import SAME_RECORDING
from torchtrack_uq import DistanceTracker, ScoredTracks, UncertaintyLayer, read_annotated, score_tracks
from torchtrack_uq.calibration import ScoredMovie, fit_events
from torchtrack_uq.calibration.movie_prior import movie_prior
from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.functional.calibration_error import calibration_error
from torchtrack_uq.layers import EventOffsets
from torchtrack_uq.trackers.neighbours import typical_displacement

RESULTS = Path(__file__).parent / "results"
MOVIES = (
    "Fluo-C2DL-MSC",
    "Fluo-N2DH-GOWT1",
    "Fluo-N2DH-SIM+",
    "Fluo-N2DL-HeLa",
    "cell-migration",
    "cglutamicum",
    "mouse-epidermis",
)
"""With masks; one of each recording."""
STRIDES = (1, 4)
CUTOFF = 5.0
"""Largest displacement, in typical ones: what `DistanceTracker` takes for its search range as well."""
MOST_DOUBTFUL = 0.05
MAX_GAP = 3
"""LapTrack closes gaps of up to two frames by default."""
HOW = {
    "tracker's own": "T = 1 and the event scores of the scorer: nothing was learned from any movie",
    "prior": "the default of `score_tracks`: a prior over temperature and event scores that was learned from movies of "
    "many kinds, **this one among them**",
    "prior of others": "such a prior, learned again without any movie of this recording, from fewer (no embryos, no "
    "masks with errors): what a movie gets that nobody has seen",
    "fit to first half": "the prior of others, then fitted to the annotation of the first half of the frames",
}


def fits_of_movies(data: Path, cache: Path) -> Fits:
    """What single movies ask for, at all strides: as the shipped prior, but for masks with errors and embryos."""
    items = [item for item in chosen_items(data, "Distance", 2) if not item.rate and item.kind not in EMBRYOS]
    return Fits("Distance", "distance", parameters(2), fitted_items(items, cache, 2), [])


def laptrack(movie: AnnotatedMovie) -> tuple[pd.DataFrame, ...]:
    """The annotated cells linked by LapTrack, divisions and gaps allowed within the same distance."""
    cells = movie.detections
    spots = pd.DataFrame(
        {"frame": cells.frame, "label": cells.label, "y": cells.coords[:, 0], "x": cells.coords[:, 1]}
    )
    cutoff = (CUTOFF * typical_displacement(cells)) ** 2
    tracker = LapTrack(cutoff=cutoff, splitting_cutoff=cutoff, gap_closing_cutoff=cutoff)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # laptrack's own, of versions to come
        tables: tuple[pd.DataFrame, ...] = tracker.predict_dataframe(
            spots, ["y", "x"], only_coordinate_cols=False
        )
    return tables


def layers(
    movie: AnnotatedMovie, tracker: DistanceTracker, fits: Fits
) -> Iterator[tuple[str, UncertaintyLayer]]:
    """The four ways of `HOW`."""
    auto = UncertaintyLayer("auto")
    yield "tracker's own", auto
    with torch.no_grad():
        graph = tracker.candidates(movie.detections, progress=False)
    shipped = movie_prior(tracker)
    assert shipped is not None
    yield "prior", shipped.layer(auto, graph)
    kind = SAME_RECORDING.get(movie.name, movie.name)
    others = fits.prior(f"without-{kind}", kind)
    yield "prior of others", others.layer(auto, graph)
    first = graph.frame < graph.n_frames / 2
    annotated = ScoredMovie(movie.name, graph, movie.targets(MAX_GAP)).only(first)
    fitted = UncertaintyLayer("auto", events=EventOffsets())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit_events(fitted, [annotated], prior=others.at(graph), max_steps=20)
    yield "fit to first half", fitted


def judged_links(found: ScoredTracks, movie: AnnotatedMovie) -> pd.DataFrame:
    """LapTrack's links whose truth is known, the most doubtful first: `frame`, `probability`, `right`."""
    cells, targets = movie.detections, movie.targets(MAX_GAP)
    links = found.decisions[found.decisions["kind"] == "link"]
    daughter = cells.find(links["frame"].to_numpy(int), links["label"].to_numpy(int))
    mother = cells.find(links["mother_frame"].to_numpy(int), links["mother"].to_numpy(int))
    table = pd.DataFrame(
        {
            "frame": links["frame"].to_numpy(int),
            "probability": links["probability"].to_numpy(float),
            "right": targets.mother.numpy()[daughter] == mother,
        }
    )
    return table[targets.known.numpy()[daughter]]


def summarised(links: pd.DataFrame) -> dict[str, float]:
    """What there is to know of links that are sorted by doubt."""
    wrong = ~links["right"].to_numpy()
    p = links["probability"].to_numpy()
    n = max(round(MOST_DOUBTFUL * len(links)), 1)
    rate, doubtful = wrong.mean(), wrong[:n].mean()
    return {
        "links": len(links),
        "wrong": int(wrong.sum()),
        "expected_wrong": float((1 - p).sum()),
        "wrong_rate": rate,
        "wrong_rate_doubtful": doubtful,
        "times_as_frequent": doubtful / rate if rate else np.nan,
        "at_most": min(1 / rate, 1 / MOST_DOUBTFUL) if rate else np.nan,
        "found": wrong[:n].sum() / wrong.sum() if wrong.any() else np.nan,
        "ece": float(calibration_error(torch.tensor(p), torch.tensor(~wrong))),
    }


def run(data: Path, cache: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of movies and strides, and of all of them together."""
    fits = fits_of_movies(data, cache)
    rows, links = [], []
    for name in MOVIES:
        for stride in STRIDES:
            movie = read_annotated(data / name / "01", stride, use_images=False, progress=False)
            movie = replace(movie, name=name)
            tables, tracker = laptrack(movie), DistanceTracker(max_gap=MAX_GAP)
            assert movie.movie is not None
            for how, layer in layers(movie, tracker, fits):
                found = score_tracks(tables, movie.movie.masks, tracker=tracker, method=layer, progress=False)
                judged = judged_links(found, movie)
                half = judged["frame"] >= movie.detections.n_frames / 2
                for frames, chosen in (("all", judged), ("second half", judged[half])):
                    if frames == "all" and how == "fit to first half":
                        continue
                    rows.append(
                        {"movie": name, "stride": stride, "how": how, "frames": frames, **summarised(chosen)}
                    )
                    links.append(chosen.assign(how=how, frames=frames, stride=stride))
                print(rows[-1], flush=True)
    every = pd.concat(links).sort_values("probability", kind="stable")
    pooled = [
        {"how": how, "frames": frames, "stride": stride, **summarised(part)}
        for (how, frames, stride), part in every.groupby(["how", "frames", "stride"], sort=False)
    ]
    return pd.DataFrame(rows), pd.DataFrame(pooled)


def page(rows: pd.DataFrame, pooled: pd.DataFrame) -> list[str]:
    """The results in Markdown."""
    second = rows[rows["frames"] == "second half"]
    told = second.groupby("how", sort=False).agg(
        movies=("ece", "size"),
        mean_ece=("ece", "mean"),
        largest_ece=("ece", "max"),
        ece_at_most_003=("ece", lambda e: int((e <= 0.03).sum())),
        with_errors=("wrong", lambda n: int((n > 0).sum())),
        five_times=("times_as_frequent", lambda x: int((x >= 5).sum())),
        five_times_possible=("at_most", lambda x: int((x >= 5).sum())),
        median_times=("times_as_frequent", "median"),
        median_found=("found", "median"),
    )
    shown = rows[
        (rows["frames"] == "second half") & rows["how"].isin(["prior of others", "fit to first half"])
    ]
    whole = rows[(rows["frames"] == "all") & (rows["how"] == "prior of others")]
    drop = ["frames"]
    return [
        "# Are the doubts about LapTrack's links right?",
        "",
        "LapTrack (0.17, by centroid, divisions and gaps of two frames within five typical displacements) linked the "
        "annotated cells of every movie with masks, at every and every fourth frame. `score_tracks` (scorer: distance, "
        "method: auto) gave each link a probability, which the annotation is held against. The scorer looks at the "
        "same centroids as LapTrack: what it adds is what else was possible.",
        "",
        *[f"- **{how}**: {what}." for how, what in HOW.items()],
        "",
        "`wrong_rate_doubtful`: share of wrong links among the most doubtful 5 %. `times_as_frequent`: that over "
        "`wrong_rate`, which is what links drawn at random have; no list can come to more than about `at_most`. "
        "`found`: share of all wrong links that are in these 5 %. `ece`: of the links' probabilities, 15 bins. Medians "
        "leave out movies without wrong links.",
        "",
        describe_machine(),
        "",
        "## Second half of the frames, which the fit has not seen",
        "",
        told.reset_index().round(4).to_markdown(index=False),
        "",
        "All movies of a stride in one list (large movies count more):",
        "",
        pooled[pooled["frames"] == "second half"].drop(columns=drop).round(4).to_markdown(index=False),
        "",
        "## Movie by movie, second half",
        "",
        shown.drop(columns=drop).round(4).to_markdown(index=False),
        "",
        "## Movie by movie, all frames, nothing annotated",
        "",
        whole.drop(columns=drop).round(4).to_markdown(index=False),
        "",
        "Every row, those of the shipped prior too, is in `doubt_laptrack.csv`.",
        "",
        "Written by `python -m experiments.doubt_laptrack`.",
        "",
    ]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=data_folder())
    parser.add_argument("--cache", type=Path, default=CHECKOUT / ".cache" / "prior")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows, pooled = run(options.data, options.cache)
    tables = {"doubt_laptrack": rows.round(5)}
    write_results(options.output, "doubt_laptrack", page(rows, pooled), tables)


if __name__ == "__main__":
    main()
