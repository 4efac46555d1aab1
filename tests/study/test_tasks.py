from pathlib import Path

import pytest

from study import unit as study_unit
from study.tasks import load, run_tasks
from study.units import find_units


def test_a_unit_that_fails_is_a_row_and_not_the_end(
    movies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> None:
        raise ValueError(f"no {name} today")

    monkeypatch.setattr(study_unit, "make_unit_tracker", broken)
    result_file = tmp_path / "first" / "unit.json"
    (unit,) = (one for one in find_units(movies, ["one"], (1,)) if one.tracker == "Distance")
    task = (result_file, study_unit.first_pass, (unit, study_unit.Options(), tmp_path / "x.pickle"), 1.0)
    run_tasks([task], 1, 1.0, "unit")
    assert "no Distance today" in result_file.read_text()
    assert load(result_file) is None  # so it is tried again
