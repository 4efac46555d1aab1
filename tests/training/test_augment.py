from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.movies.features import measure_frame
from torchtrack_uq.training import Augmentation
from torchtrack_uq.training.augment import apply_linear_map, drop_cells
from torchtrack_uq.training.window import Window

NOTHING = Augmentation(**{field.name: 1.0 if field.name in ("scale", "stretch", "brightness") else 0.0
                          for field in fields(Augmentation)})  # fmt: skip


def ellipse(axes: NDArray[np.float64], turn: NDArray[np.float64], scale: float = 1.0) -> NDArray[np.int64]:
    """Mask of the ellipse {M u : |u| <= 1} with M = turn diag(axes), in a 201 x 201 image."""
    grid = np.stack(np.meshgrid(np.arange(-100, 101), np.arange(-100, 101), indexing="ij"), axis=-1)
    inverse = np.linalg.inv(turn @ np.diag(axes) * scale)
    return (np.linalg.norm(grid @ inverse.T, axis=-1) <= 1).astype(np.int64)


def rotation(degrees: float) -> NDArray[np.float64]:
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize(
    "matrix",
    [
        rotation(37),
        np.diag([-1.0, 1.0]),
        1.4 * np.eye(2),
        np.diag([1.5, 0.8]),
        rotation(20) @ np.diag([1.3, 0.9]),
    ],
    ids=["rotation", "mirror", "scale", "stretch", "all"],
)
def test_features_follow_the_cells_through_a_linear_map(matrix: NDArray[np.float64]) -> None:
    before = measure_frame(ellipse(np.array([50.0, 25.0]), rotation(15)))
    grid = ellipse(np.array([50.0, 25.0]), matrix @ rotation(15))
    after = measure_frame(grid)
    features = np.concatenate(
        [before.diameter[:, None], [[0.5]], before.inertia, before.border[:, None]], axis=1
    ).astype(np.float32)
    nothing = np.zeros(1, dtype=np.int64)
    window = Window(nothing, np.zeros((1, 2), np.float32), features, nothing - 1, nothing > 0)
    mapped = apply_linear_map(window, matrix).features[0]
    assert mapped[0] == pytest.approx(after.diameter[0], rel=2e-3)
    assert np.allclose(mapped[2:6], after.inertia[0], rtol=1e-2, atol=3)
    assert mapped[1] == 0.5


def test_the_inertia_tensor_of_rotated_points_is_the_rotated_inertia_tensor(movie: AnnotatedMovie) -> None:
    window = Window.of_movie(movie)
    turn = rotation(71)
    inertia = window.features[:, 2:6].reshape(-1, 2, 2)
    rotated = apply_linear_map(window, turn).features[:, 2:6].reshape(-1, 2, 2)
    assert np.allclose(rotated, turn @ inertia @ turn.T, rtol=1e-4)


def test_augmentation_keeps_the_true_links(movie: AnnotatedMovie) -> None:
    window = Window.of_movie(movie)
    augment = Augmentation(dropout=0.0)
    for seed in range(20):
        changed = augment(window, np.random.default_rng(seed))
        assert np.array_equal(changed.frame, window.frame)
        assert np.array_equal(changed.mother, window.mother)
        assert np.array_equal(changed.has_target, window.has_target)
        assert np.isfinite(changed.features).all()
        assert not np.allclose(changed.coords, window.coords)


def test_everything_switched_off_but_the_rotation_keeps_distances(movie: AnnotatedMovie) -> None:
    window = Window.of_movie(movie)
    changed = NOTHING(window, np.random.default_rng(0))

    def distances(coords: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.linalg.norm(coords[:, None] - coords[None], axis=-1)

    assert np.allclose(distances(changed.coords), distances(window.coords), atol=1e-3)
    assert np.allclose(changed.features[:, [0, 1, 6]], window.features[:, [0, 1, 6]])


def test_the_same_generator_gives_the_same_window(movie: AnnotatedMovie) -> None:
    window = Window.of_movie(movie)
    first, second = (Augmentation()(window, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.coords, second.coords)
    assert np.array_equal(first.features, second.features)


def test_daughters_of_a_dropped_mother_become_null(movie: AnnotatedMovie) -> None:
    window = Window.of_movie(movie)
    divided = np.flatnonzero(np.bincount(window.mother[window.mother >= 0]) == 2)[0]
    daughters = np.flatnonzero(window.mother == divided)
    dropped = drop_cells(window, np.arange(len(window)) != divided)
    assert len(dropped) == len(window) - 1
    assert (dropped.mother[daughters - 1] == -1).all()
    assert dropped.has_target[daughters - 1].all()
    others = np.setdiff1d(np.flatnonzero(window.mother >= 0), [*daughters, divided])
    kept_mother = window.mother[others]
    assert np.array_equal(dropped.mother[others - (others > divided)], kept_mother - (kept_mother > divided))


def test_daughters_of_a_mother_outside_the_crop_lose_their_target(movie: AnnotatedMovie) -> None:
    window = Window.of_movie(movie)
    divided = np.flatnonzero(np.bincount(window.mother[window.mother >= 0]) == 2)[0]
    daughters = np.flatnonzero(window.mother == divided)
    part = window.subset(np.setdiff1d(np.arange(len(window)), [divided]))
    assert not part.has_target[daughters - 1].any()


def test_intensities_are_dropped_for_a_whole_window_or_not_at_all(movie: AnnotatedMovie) -> None:
    window = Window.of_movie(movie)
    augment = Augmentation(dropout=0.0)
    brightness = [augment(window, np.random.default_rng(seed)).features[:, 1] for seed in range(200)]
    blank = np.array([not column.any() for column in brightness])
    assert 0.35 < blank.mean() < 0.65
    assert all(column.all() for column, empty in zip(brightness, blank, strict=True) if not empty)


def test_a_movie_without_images_stays_without(movies: list[AnnotatedMovie]) -> None:
    window = Window.of_movie(movies[1])
    assert not any(
        Augmentation()(window, np.random.default_rng(seed)).features[:, 1].any() for seed in range(20)
    )
