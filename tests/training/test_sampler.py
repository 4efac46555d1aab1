import numpy as np
import pytest

from torchtrack_uq.datasets import AnnotatedMovie, Lineage
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.training import WindowSampler


def test_a_window_depends_on_its_number_alone(movies: list[AnnotatedMovie]) -> None:
    forwards, backwards = WindowSampler(movies, seed=3), WindowSampler(movies, seed=3)
    first = [forwards[i].coords for i in range(6)]
    second = [backwards[i].coords for i in reversed(range(6))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0][:1], WindowSampler(movies, seed=4)[0].coords[:1])


def test_windows_hold_true_links_of_consecutive_frames(movies: list[AnnotatedMovie]) -> None:
    sampler = WindowSampler(movies, max_cells=20)
    for i in range(50):
        window = sampler[i]
        assert len(window) <= 20
        assert window.has_target.any()
        linked = np.flatnonzero(window.mother >= 0)
        assert (window.frame[window.mother[linked]] == window.frame[linked] - 1).all()
        assert not window.has_target[window.frame == 0].any()


def test_without_augmentation_links_are_those_of_the_subsampled_movie(movie: AnnotatedMovie) -> None:
    sampler = WindowSampler([movie], strides={3: 1.0}, augmentation=None, window=2)
    places = movie.detections.coords.astype(np.float32)
    place = {tuple(coords): i for i, coords in enumerate(places)}
    for i in range(20):
        window = sampler[i]
        cells = np.array([place[tuple(coords)] for coords in window.coords])
        for daughter in np.flatnonzero(window.mother >= 0):
            ancestor = cells[daughter]
            for _ in range(3):
                ancestor = movie.mother[ancestor]
            assert ancestor == cells[window.mother[daughter]]


def test_every_movie_is_drawn_equally_often_however_long(movies: list[AnnotatedMovie]) -> None:
    sampler = WindowSampler(movies, augmentation=None)
    with_images = np.mean([sampler[i].has_images for i in range(400)])
    assert 0.4 < with_images < 0.6


def test_unusable_movies_are_refused(movie: AnnotatedMovie) -> None:
    with pytest.raises(InputError, match="at least one movie"):
        WindowSampler([])
    with pytest.raises(InputError, match="no daughter to learn from"):
        WindowSampler([movie.frames(0, 1)])
    points = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)), np.array([1, 1]))
    with pytest.raises(InputError, match="training needs a movie with masks"):
        WindowSampler([AnnotatedMovie("points", points, Lineage.from_rows([(1, 0, 1, 0)]))])
