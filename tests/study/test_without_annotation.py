from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("tabulate", reason="the study's pages need the extra bench")

from experiments.prior.units import MOST_CELLS
from study import without_annotation
from study.without_annotation import METHOD, NOW, OLD, shown_without_annotation, tables_without_annotation

HOWS = (OLD, METHOD, "no annotation", "30 at random", "30 by `sample`", "100 at random")


def tables(folder: Path, now: dict[str, float], accuracy: dict[str, float]) -> dict[str, pd.DataFrame]:
    """Of two movies whose NLL is .4 under the old defaults, .3 with the method alone, and `now`."""
    rows = []
    for movie in ("one", "two"):
        for rate in (0.0, 0.05):
            key = {"tracker": "Distance", "movie": movie, "kind": movie, "stride": 1, "rate": rate}
            for gap in (1, 2):
                for how, nll in ((OLD, 0.4), (METHOD, 0.3), (NOW, now[movie])):
                    right = accuracy[movie] if how == NOW else 0.9
                    rows.append(
                        {**key, "max_gap": gap, "how": how, "nll": nll, "ece": 0.01, "accuracy": right}
                    )
            for how, nll in zip(HOWS, (0.4, 0.3, 0.2, 0.18, 0.16, 0.12), strict=True):
                if movie == "one" or how != "100 at random":  # the other has no 100 cells
                    half = {"how": f"second half: {how}", "nll": nll, "ece": 0.01, "accuracy": 0.9}
                    rows.append({**key, "max_gap": 2, **half})
    file = folder / "movie_prior.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    return tables_without_annotation(file)


def test_movies_that_are_worse_are_named_whatever_the_mean_says(tmp_path: Path) -> None:
    found = tables(tmp_path, {"one": 0.35, "two": 0.05}, {"one": 0.9, "two": 0.8})
    worse = found["defaults_worse"]
    against = worse[worse["worse than"] == METHOD].set_index(["movie", "masks"])["in"]
    assert against.to_dict() == {
        ("one", "as annotated"): "NLL", ("one", "5 % missed"): "NLL",
        ("two", "as annotated"): "accuracy", ("two", "5 % missed"): "accuracy",
    }  # fmt: skip
    assert set(worse.loc[worse["worse than"] == OLD, "movie"]) == {"two"}
    shown = shown_without_annotation(found)["defaults_worse"]
    assert shown["worst: accuracy"].tolist() == ["-10.0 points"] * 2
    assert shown["NLL higher at stride"].tolist() == ["–", "–"]


def test_an_aim_is_met_only_where_all_of_it_is(tmp_path: Path) -> None:
    good = tables(tmp_path, {"one": 0.19, "two": 0.21}, {"one": 0.92, "two": 0.92})["defaults_aims"]
    by_aim = good.groupby("aim")["verdict"].apply(set)
    assert {aim: verdict for aim, (verdict,) in by_aim.items() if verdict != "met"} == {
        "100 annotated: ECE at most 0.02 at stride 2": "not measured",
        "100 annotated: ECE at most 0.05 at stride 8": "not measured",
    }
    bad = tables(tmp_path, {"one": 0.1, "two": 0.35}, {"one": 0.91, "two": 0.91})["defaults_aims"]
    missed = set(bad.loc[bad["verdict"] == "missed", "aim"])
    assert missed == {
        "no annotation: NLL at most half of that before",
        "no annotation: accuracy 1.5 points higher where it was below .95",
        "no annotation: no movie worse than auto at T = 1",
    }


def test_few_cells_are_compared_on_the_same_movies(tmp_path: Path) -> None:
    few = tables(tmp_path, {"one": 0.2, "two": 0.2}, {"one": 0.9, "two": 0.9})["defaults_few"]
    assert few["movies"].tolist() == [1, 1]


def test_the_page_says_how_many_cells_movies_were_cut_to() -> None:
    assert without_annotation.MOST_CELLS == MOST_CELLS
