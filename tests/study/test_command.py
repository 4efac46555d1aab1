from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("tabulate", reason="the study's pages need the extra bench")

from study import command


def test_one_command_makes_tables_figures_and_pages_and_does_nothing_twice(
    movies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [
        str(movies), "-o", str(tmp_path / "out"), "--docs", str(tmp_path / "docs"),
        "--quick", "--workers", "1", "--trackers", "Distance",
    ]  # fmt: skip
    command.main(arguments)
    assert "unit 2/2" in capsys.readouterr().out
    first = {file.name: file.read_bytes() for file in sorted((tmp_path / "out").iterdir()) if file.is_file()}
    figures = {file.name for file in (tmp_path / "docs" / "images").iterdir()}
    table = pd.read_csv(tmp_path / "out" / "study.csv")
    good = table[table["error"].isna()]
    combinations = good.groupby(["movie", "stride", "tracker", "method"])["ts"].apply(set)
    main = combinations[
        combinations.index.get_level_values("method").isin(
            ("SM", "FP", "FP+A", "AS", "auto", "auto + events")
        )
    ]
    assert len(main) == 2 * 6
    for (*_, method), states in main.items():
        assert states == {"none", "in time", "oracle"} | (
            {"other movies"} if method != "auto + events" else set()
        )
    stress = pd.read_csv(tmp_path / "out" / "stress.csv")
    assert (stress["nll_change_lower"] <= stress["nll_change"]).all()
    assert ((good["ece_lower"] <= good["ece"]) & (good["ece"] <= good["ece_upper"])).all()
    assert {"study.csv", "figure_2a_light.png", "figure_2b_dark.png"} <= set(first) | figures
    page = (tmp_path / "docs" / "index.md").read_text()
    assert "Entropy is at least as good" in page
    assert "stress test: first half" in (tmp_path / "docs" / "calibration.md").read_text()

    monkeypatch.setattr("study.figures.draw_all", lambda *_: None)
    command.main(arguments)
    assert "unit" not in capsys.readouterr().out.partition("\n")[2]
    command.main([*arguments, "--overwrite"])
    for name in ("study.csv", "sparsification.csv", "stress.csv"):
        assert (tmp_path / "out" / name).read_bytes() == first[name]
