from pathlib import Path

from study.units import MOVIES, find_units


def test_the_study_covers_the_nine_movies_that_its_numbers_are_of(data_folder: Path) -> None:
    assert {unit.movie for unit in find_units(data_folder, None, (1,))} == set(MOVIES)
    assert len(MOVIES) == 9


def test_any_other_folder_is_taken_as_a_whole(movies: Path) -> None:
    assert {unit.movie for unit in find_units(movies, None, (1,))} == {"one", "two"}
