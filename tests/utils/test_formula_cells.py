"""A spreadsheet runs nothing that a table of ours holds, and every name comes back as it was."""

import csv
from pathlib import Path

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq import TrackingResult
from torchtrack_uq.calibration.annotations import read_decisions
from torchtrack_uq.cli.main import main
from torchtrack_uq.utils.formula_cells import guarded, unguarded

texts = st.one_of(st.text(), st.text(alphabet="'=+-@1.e\t\r", max_size=6))


@given(texts)
def test_every_text_comes_back(text: str) -> None:
    assert unguarded(guarded(text)) == text


@given(texts)
def test_nothing_that_is_written_is_run(text: str) -> None:
    written = guarded(text)
    if written[:1] in set("=+-@\t\r") - {""}:
        float(written)  # a number, which is none to be run


HOSTILE = ['=HYPERLINK("http://x","y")', "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "'=quoted", "-7", "plain"]


def test_hostile_names_go_round_from_a_table_of_points_to_decisions(tmp_path: Path) -> None:
    rows = [
        {"frame": t, "id": f"{name}{t}" if name != "-7" else name, "y": 30.0 * k, "x": float(t)}
        for t in range(3)
        for k, name in enumerate(HOSTILE)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "points.csv", index=False)
    out = tmp_path / "out"
    assert main(["track", "--points", str(tmp_path / "points.csv"), "-o", str(out), "--quiet"]) == 0
    for file in out.glob("*.csv"):
        with file.open(newline="") as stream:
            for row in csv.reader(stream):
                for entry in row:
                    if entry[:1] in tuple("=+-@\t\r"):
                        float(entry)
    assert main(["sample", str(out), "-n", "8", "-o", str(tmp_path / "ask.csv")]) == 0
    asked = pd.read_csv(tmp_path / "ask.csv", dtype=str, keep_default_na=False)
    assert asked["label"].str.startswith("'").any()
    asked["verdict"] = "none"
    asked.to_csv(tmp_path / "answers.csv", index=False)
    result = TrackingResult.load(out)
    decisions = read_decisions(tmp_path / "answers.csv", result.detections)
    assert int(decisions.known.sum()) == len(asked)
    assert (
        main(["correct", str(out), str(tmp_path / "answers.csv"), "-o", str(tmp_path / "new"), "--quiet"])
        == 0
    )
    assert set(TrackingResult.load(tmp_path / "new").detections.name) == {row["id"] for row in rows}
