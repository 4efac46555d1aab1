"""Whether tracks, divisions and lineages are right as often as their probabilities say, on annotated movies.

    python -m experiments.track_probabilities [--cache FOLDER]

Every shared movie with masks, strides 1 and 4, distance and overlap tracker, links over up to two frames, `auto`.
First with temperature and event scores as `track` takes them by default, from a prior that *has seen these movies*;
then fitted to the first half of the frames, and judged on the second. Tracks are judged of which all decisions are
annotated. What is known already is not computed again. Writes `results/track_probabilities.md` and `.csv`.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.machine import describe_machine
from common.data import data_folder
from common.results import kept, write_results
from study.units import TRACKERS, Unit, find_units, read_unit
from torchtrack_uq import EventOffsets, UncertainTracker, UncertaintyLayer
from torchtrack_uq.calibration import ScoredMovie, fit_events, movie_prior
from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.datasets.points import is_points_folder
from torchtrack_uq.functional.calibration_error import calibration_error
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.posterior.histories import Histories, draw_histories
from torchtrack_uq.posterior.map_links import map_links, mothers_of
from torchtrack_uq.results.track_probabilities import tracks_table
from torchtrack_uq.results.tracklets import tracklets
from torchtrack_uq.trackers import make_tracker
from torchtrack_uq.truth.targets import LinkTargets

RESULTS = Path(__file__).parent / "results"
STRIDES = (1, 4)
JUDGED_TRACKERS = ("Distance", "Overlap")
MAX_GAP = 2
FEWEST_FRAMES = 2
PRIOR, FITTED = "default prior (has seen the movie)", "fitted to the first half, judged on the second"
ASKED = {"track": "p_track", "division": "p_division", "lineage": "p_lineage"}
GOAL = 0.05


def judged_tracks(graph: CandidateGraph, frame: np.ndarray, targets: LinkTargets) -> pd.DataFrame:
    """One row a track of the MAP: its probabilities, and whether it is right; NaN where that is not annotated.

    The truth is held against the tracks as if it were the one history drawn.
    """
    mother = mothers_of(graph, map_links(graph))
    tracks = tracklets(frame, mother)
    table = tracks_table(mother, tracks, draw_histories(graph))
    truth = targets.mother.numpy()
    known = targets.known.numpy() | (frame == 0)
    loads_known = targets.mother_known.numpy() | (frame == frame.max())
    one = np.where(known, truth, -1)[None].repeat(2, axis=0)
    right = tracks_table(mother, tracks, _together(one))
    unknown = np.zeros(len(table), bool)
    np.logical_or.at(unknown, tracks.track - 1, ~known | ~loads_known)
    begun = np.flatnonzero(mother[np.unique(tracks.track, return_index=True)[1]] >= 0)
    first = np.unique(tracks.track, return_index=True)[1][begun]
    unknown[begun] |= ~loads_known[mother[first]]
    parent = table["parent"].to_numpy() - 1
    below = unknown.copy()
    children_unknown = np.zeros(len(table), bool)
    for k in range(len(table) - 1, -1, -1):
        if parent[k] >= 0:
            below[parent[k]] |= below[k]
            children_unknown[parent[k]] |= unknown[k]
    for name, hidden in (
        ("p_track", unknown | children_unknown), ("p_division", unknown | children_unknown), ("p_lineage", below),
    ):  # fmt: skip
        table[f"{name}_right"] = right[name].where(~hidden)
    table["errors"] = right["expected_errors"].where(~unknown)
    return table


def _together(mother: np.ndarray) -> Histories:
    """The truth, twice, as draws of one component."""
    zeros = np.zeros(mother.shape[1], np.int64)
    return Histories(mother, zeros, zeros, np.array([True]), np.zeros(len(mother), np.int64))


def of_default(movie: AnnotatedMovie, tracker: str) -> pd.DataFrame:
    """With temperature and event scores of the prior."""
    uncertain = UncertainTracker(TRACKERS[tracker], max_gap=MAX_GAP)
    result = uncertain.track_detections(movie.detections, movie.movie, progress=False)
    assert result.scaled is not None
    return judged_tracks(result.scaled, movie.detections.frame, movie.targets(MAX_GAP))


def of_halves(movie: AnnotatedMovie, tracker: str) -> pd.DataFrame | None:
    """Fitted to the first half of the frames, judged on the second; None where these are too few."""
    n_frames = movie.detections.n_frames
    if n_frames < 2 * FEWEST_FRAMES:
        return None
    made = make_tracker(TRACKERS[tracker], "cpu", max_gap=MAX_GAP)
    scored = []
    for half in (movie.frames(0, n_frames // 2), movie.frames(n_frames // 2, n_frames)):
        with torch.no_grad():
            graph = made.candidates(half.detections, half.movie, progress=False)
        scored.append((half, ScoredMovie(half.name, graph, half.targets(MAX_GAP))))
    layer = UncertaintyLayer("auto", events=EventOffsets())
    prior = movie_prior(made)
    fit_events(
        layer, [scored[0][1]], prior=None if prior is None else prior.at(scored[0][1].graph), max_steps=20
    )
    half, judged = scored[1]
    with torch.no_grad():
        return judged_tracks(layer.tempered(judged.graph), half.detections.frame, judged.targets)


def numbers_of(table: pd.DataFrame | None) -> dict[str, list[list[float]]]:
    """By question, probabilities and whether they came true, and expected errors beside true ones."""
    if table is None:
        return {}
    pairs = {name: (column, f"{column}_right") for name, column in ASKED.items()}
    found = {}
    for name, columns in {**pairs, "errors": ("expected_errors", "errors")}.items():
        known = table[list(columns)].dropna()
        found[name] = known.to_numpy(float).round(5).T.tolist()
    return found


def of_unit(unit: Unit) -> dict[str, dict[str, list[list[float]]]]:
    """Both settings."""
    movie = read_unit(unit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            PRIOR: numbers_of(of_default(movie, unit.tracker)),
            FITTED: numbers_of(of_halves(movie, unit.tracker)),
        }


def row_of(name: str, numbers: list[list[float]]) -> dict[str, object]:
    """How many there are, how many are right, what was expected, and the ECE."""
    p, right = (torch.tensor(values, dtype=torch.float64) for values in numbers)
    if not len(p):
        return {f"{name} n": 0}
    return {
        f"{name} n": len(p),
        f"{name} right": float(right.mean()),
        f"{name} mean p": float(p.mean()),
        f"{name} ECE": float(calibration_error(p.clamp(0, 1), right > 0.5)),
        f"{name} noise": ece_by_chance(p.clamp(0, 1)),
    }


def ece_by_chance(p: torch.Tensor, n: int = 100) -> float:
    """Mean ECE of decisions that are right exactly as often as their probabilities say, independently."""
    generator = torch.Generator().manual_seed(0)
    found = [
        calibration_error(p, torch.rand(len(p), generator=generator, dtype=p.dtype) < p) for _ in range(n)
    ]
    return float(torch.stack(found).mean())


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "track_probabilities")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    units = [
        unit
        for unit in find_units(data_folder(), None, STRIDES)
        if unit.tracker in JUDGED_TRACKERS and not is_points_folder(unit.folder)
    ]
    rows, pooled = [], {}
    for unit in reversed(units):
        found = kept(options.cache / f"{unit.key}.json", lambda unit=unit: of_unit(unit))
        for setting, numbers in found.items():
            if not numbers:
                continue
            row = {"setting": setting, "movie": unit.movie, "stride": unit.stride, "tracker": unit.tracker}
            for name in ASKED:
                row |= row_of(name, numbers[name])
                key = setting, unit.tracker, unit.stride, name
                pooled[key] = np.concatenate(
                    [pooled.get(key, np.zeros((2, 0))), np.array(numbers[name])], axis=1
                )
            expected, errors = (float(np.sum(part)) for part in numbers["errors"])
            rows.append(row | {"expected errors": expected, "errors": errors})
        print(unit.key, flush=True)
    table = pd.DataFrame(rows)
    together = []
    for setting in (PRIOR, FITTED):
        for tracker in JUDGED_TRACKERS:
            for stride in STRIDES:
                row = {"setting": setting, "tracker": tracker, "stride": stride}
                for name in ASKED:
                    row |= row_of(name, pooled[setting, tracker, stride, name].tolist())
                together.append(row)
    all_of = {
        (setting, name): row_of(
            name,
            np.concatenate(
                [pooled[setting, t, s, name] for t in JUDGED_TRACKERS for s in STRIDES], 1
            ).tolist(),
        )
        for setting in (PRIOR, FITTED)
        for name in ASKED
    }
    summary = "; ".join(
        f"{setting}: " + ", ".join(f"{name} {all_of[setting, name][f'{name} ECE']:.3f}" for name in ASKED)
        for setting in (PRIOR, FITTED)
    )
    met = {
        setting: int((table[table["setting"] == setting]["track ECE"] <= GOAL).sum())
        for setting in (PRIOR, FITTED)
    }
    lines = [
        "# Probabilities of tracks, divisions and lineages",
        "",
        " ".join((__doc__ or "").split("\n\n")[2].split()),
        "",
        f"ECE (15 bins) over all movies, strides and trackers: {summary}. The aim was {GOAL:g}; of the rows below, "
        f"that of tracks is reached in {met[PRIOR]} of {(table['setting'] == PRIOR).sum()} with the prior and in "
        f"{met[FITTED]} of {(table['setting'] == FITTED).sum()} fitted. Movies that are too sure and others that are "
        "not sure enough partly cancel where they are taken together. The columns `noise` are the mean ECE that "
        "decisions with these probabilities would have if they were perfectly calibrated and independent: an ECE of "
        "few tracks says little. Written by `python -m experiments.track_probabilities`.",
        "",
        "Draws do not make the difference: tracks of movies that are simulated with the right scores have an ECE of "
        "about .01 ([intervals for lineages](lineage_intervals.md)). What is left are scores, temperature and event "
        "scores that do not fit the movie; along a track, small errors of its links add up.",
        "",
        describe_machine(),
        "",
        "## All movies together",
        "",
        pd.DataFrame(together).to_markdown(index=False, floatfmt=".3f"),
        "",
        "## Each movie",
        "",
        table.to_markdown(index=False, floatfmt=".3f"),
        "",
    ]
    write_results(options.output, "track_probabilities", lines, {"track_probabilities": table.round(4)})


if __name__ == "__main__":
    main()
