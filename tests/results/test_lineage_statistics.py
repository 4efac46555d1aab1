"""What is counted of lineages, held against counting history by history, and intervals that hold."""

import itertools
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from experiments.lineage_intervals import rows_of
from tests.posterior.test_movies_with_gaps import movie
from torchtrack_uq import CandidateGraph, Detections, InputError, UncertainTracker
from torchtrack_uq.cli import main
from torchtrack_uq.posterior.histories import draw_histories
from torchtrack_uq.posterior.survival import kaplan_meier_median
from torchtrack_uq.results.lineage_draws import PER_FRAME, WHOLE, lineage_draws
from torchtrack_uq.results.lineage_picture import draw_lineages
from torchtrack_uq.results.lineage_statistics import lineage_statistics


def counted_by_hand(mother: np.ndarray, frame: np.ndarray, n_frames: int) -> dict[str, object]:
    """The same of one history, cell by cell on a graph."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(mother)))
    graph.add_edges_from((int(i), j) for j, i in enumerate(mother) if i >= 0)
    loads = dict(graph.out_degree())

    def line(cell: int) -> list[int]:
        return sorted(nx.ancestors(graph, cell) | {cell})

    lineages = [len({line(c)[0] for c in np.flatnonzero(frame == t).tolist()}) for t in range(n_frames)]
    complete, generations = [], [0]
    for cell in graph:
        divisions = [c for c in line(cell) if loads[c] == 2 and c != cell]
        generations.append(len(divisions))
        if loads[cell] == 2 and divisions:
            complete.append(int(frame[cell] - frame[divisions[-1]]))
    skipped = sum(int(frame[j] - frame[i]) - 1 for i, j in graph.edges)
    n_divisions = sum(load == 2 for load in loads.values())
    at_risk = int((frame < n_frames - 1).sum()) + skipped
    return {
        "lineages": lineages,
        "n_births": sum(bool(frame[j] > 0) and i < 0 for j, i in enumerate(mother)),
        "n_deaths": sum(loads[c] == 0 and frame[c] < n_frames - 1 for c in graph),
        "n_divisions": n_divisions,
        "division_rate": n_divisions / at_risk if at_risk else np.nan,
        "n_cycles": len(complete),
        "cycle_length_completed": np.mean(complete) if complete else np.nan,
        "generations": max(generations),
    }


@pytest.mark.parametrize("seed", range(8))
def test_numbers_are_those_counted_cell_by_cell(seed: int) -> None:
    graph = movie(seed, 6, 1 + seed % 3, most=4)
    frame = graph.frame.numpy()
    drawn = draw_histories(graph, 30, seed=seed)
    found = lineage_draws(drawn.mother, frame, 6)
    assert found.per_frame.keys() == PER_FRAME.keys()
    assert found.whole.keys() == WHOLE.keys()
    for k, mother in enumerate(drawn.mother):
        for name, value in counted_by_hand(mother, frame, 6).items():
            values = found.per_frame[name][k] if name == "lineages" else found.whole[name][k]
            np.testing.assert_allclose(values, value, err_msg=name)


def test_kaplan_meier_by_its_definition() -> None:
    rng = np.random.default_rng(0)
    events, lost = rng.integers(0, 4, (2, 50, 9))
    for k, found in enumerate(kaplan_meier_median(events, lost)):
        survive, wanted = 1.0, np.inf
        for t in range(9):
            at_risk = sum(events[k, t:]) + sum(lost[k, t:])
            if at_risk:
                survive *= 1 - events[k, t] / at_risk
                if survive <= 0.5 + 1e-12:
                    wanted = t
                    break
        assert found == wanted


def test_intervals_hold_on_simulated_lineages() -> None:
    """Four movies; the whole of it, 200 movies, is experiments/lineage_intervals.py."""
    rows = pd.DataFrame([row for seed in range(100, 104) for row in rows_of(seed, 200)[0]])
    for level in (0.5, 0.9):
        here = rows[(rows["level"] == level) & (rows["of"] == "movie")]
        share = here.groupby("movie")["inside"].mean()
        # of one movie all quantities depend on each other: its mean counts as one observation
        assert share.mean() > level - 3 * max(share.std(), 0.1) / np.sqrt(len(share))
    narrow = rows[rows["quantity"] == "n_divisions"].groupby("level")["width"].mean()
    assert narrow[0.5] < narrow[0.9]
    assert narrow[0.9] < 20  # of about 35 divisions


def test_hours_are_frames_times_the_interval() -> None:
    cells = Detections.from_points(np.array([0, 1, 1, 2, 2, 3, 3, 3]), np.zeros((8, 2)), interval=900.0)
    graph = CandidateGraph.from_links(
        cells, [0, 0, 1, 2, 3, 3, 4], [1, 2, 3, 4, 5, 6, 7], np.full(7, 30.0), appear=-30.0, disappear=-5.0
    )
    table = lineage_statistics(cells, graph, 50).table.set_index(["quantity", "unit"])
    for name, frames, hours in (("cycle_length", 2.0, 0.5), ("division_rate", 2 / 5, 8 / 5)):
        unit = "frames" if name == "cycle_length" else "1/frame"
        per_hour = "hours" if name == "cycle_length" else "1/hour"
        whole = table[table["frame"].isna()]
        assert whole.loc[(name, unit), "mean"] == pytest.approx(frames)
        assert whole.loc[(name, per_hour), ["low", "high"]].tolist() == pytest.approx([hours, hours])


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, np.nan])
def test_levels_that_are_none_are_refused(level: float) -> None:
    cells = Detections.from_points(np.array([0]), np.zeros((1, 2)))
    graph = CandidateGraph.from_links(cells, [], [], [])
    with pytest.raises(InputError, match="expected a probability between 0 and 1"):
        lineage_statistics(cells, graph, level=level)
    with pytest.raises(InputError, match="expected at least 2"):
        lineage_statistics(cells, graph, n=1)


def test_a_movie_of_no_cells_and_one_of_one_frame_have_statistics() -> None:
    for frames in ([], [0, 0]):
        cells = Detections.from_points(np.array(frames, np.int64), np.zeros((len(frames), 2)), n_frames=2)
        graph = CandidateGraph.from_links(cells, [], [], [])
        found = lineage_statistics(cells, graph, 10)
        assert found.draws["n_divisions"].eq(0).all()
        assert found.exact == 1.0


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from torchtrack_uq.datasets.example import hela_example

    images, masks = hela_example()
    result = UncertainTracker("distance").track(images, masks, interval=1800, progress=False)
    return result.save(tmp_path_factory.mktemp("lineages") / "out", progress=False)


def test_the_command_writes_table_and_picture(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lineages.csv"
    arguments = ["lineages", str(saved), "-o", str(file), "-n", "100", "--level", "80%"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "n_divisions: " in printed
    assert "80% intervals are in" in printed
    assert "not calibrated on your own cells: true counts may lie far outside" in printed
    table = pd.read_csv(file)
    assert list(table.columns) == ["quantity", "unit", "frame", "mean", "low", "high"]
    assert set(table["unit"]) == {"count", "1/frame", "1/hour", "frames", "hours"}
    assert ((table["low"] <= table["mean"] + 1e-9) | table["mean"].isna()).mean() > 0.95
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert main(arguments) == 2
    assert "exists; give another name, or --overwrite" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(file), table)


def test_the_command_refuses_what_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, said in (
        ("a.txt", "expected a file that ends in .csv"),
        ("no.csv", "is missing; expected a folder"),
    ):
        assert main(["lineages", str(tmp_path / "none"), "-o", str(tmp_path / name)]) == 2
        assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_picture_has_a_band_for_each_quantity() -> None:
    graph = movie(3, 5, 1, most=4)
    cells = Detections.from_points(graph.frame.numpy(), np.zeros((graph.n_cells, 2)), n_frames=5)
    figure = draw_lineages(lineage_statistics(cells, graph, 50))
    lines = list(itertools.chain.from_iterable(axes.get_lines() for axes in figure.axes))
    assert [line.get_label() for line in lines] == [
        "cells", "lineages", "births", "deaths", "divisions", "division_rate",
    ]  # fmt: skip
    assert all(len(axes.collections) == len(axes.get_lines()) for axes in figure.axes)
