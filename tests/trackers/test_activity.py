from pathlib import Path

import numpy as np
import pytest

from torchtrack_uq import (
    ActivityTracker,
    Detections,
    DistanceTracker,
    FeaturePerturbation,
    InputError,
    Movie,
    UncertaintyLayer,
)
from torchtrack_uq.datasets import CtcSequence


@pytest.fixture(scope="module")
def bacteria(data_folder: Path) -> tuple[Movie, Detections]:
    """Frames 40, 60 and 80 of the movie that the method was published on."""
    folder = data_folder / "cglutamicum-06min" / "01"
    if not folder.with_name("01_GT").is_dir():
        pytest.skip("the movie of Mosheiff et al. is not here")
    whole = CtcSequence.find(folder).open_movie()
    frames = (40, 41, 42, 60)
    movie = Movie.open(
        np.stack([whole.read_image(t) for t in frames]), np.stack([whole.read_mask(t) for t in frames])
    )
    return movie, Detections.from_movie(movie, progress=False)


def test_scores_are_the_published_formula_on_a_real_movie(bacteria: tuple[Movie, Detections]) -> None:
    """Written out cell by cell from the paper: activity map, mean inside the mask, Gaussian of width activity / 2.5."""
    movie, cells = bacteria
    graph = ActivityTracker(contrast=None, reach=1).candidates(cells, movie, progress=False)
    found = {
        (i, j): s
        for i, j, s in zip(graph.mother.tolist(), graph.daughter.tolist(), graph.score.tolist(), strict=True)
    }
    expected = {}
    for t in range(movie.n_frames - 1):
        images = [movie.read_image(k).astype(float) for k in (t, t + 1)]
        masks = [movie.read_mask(k) for k in (t, t + 1)]
        activity_map = 0.5 * np.abs(images[0] - images[1])
        for i in range(cells.in_frame(t).start, cells.in_frame(t).stop):
            inside = masks[0] == cells.label[i]
            width = activity_map[inside].mean() / 2.5
            centre = np.argwhere(inside).mean(axis=0)
            for j in range(cells.in_frame(t + 1).start, cells.in_frame(t + 1).stop):
                other = np.argwhere(masks[1] == cells.label[j]).mean(axis=0)
                probability = np.exp(-0.5 * ((other - centre) ** 2).sum() / width**2)
                if probability > 0.01:
                    expected[i, j] = np.log(probability)
    assert len(expected) > 100
    assert set(found) == set(expected)
    for link, log_p in expected.items():
        assert found[link] == pytest.approx(log_p, rel=1e-4, abs=1e-5)
    assert graph.appear.tolist() == pytest.approx([np.log(0.01)] * len(cells))
    farther = ActivityTracker(contrast=None).candidates(cells, movie, progress=False)
    assert farther.n_links > graph.n_links
    assert int((farther.score >= np.log(0.01)).sum()) == graph.n_links


def test_a_brighter_exposure_changes_nothing(bacteria: tuple[Movie, Detections]) -> None:
    movie, cells = bacteria
    images, masks = np.stack(list(movie.images)), np.stack(list(movie.masks))
    usual, brighter = (
        ActivityTracker().candidates(cells, Movie.open(x, masks), progress=False)
        for x in (images, images.astype(np.float32) * 7 + 100)
    )
    assert usual.n_links == brighter.n_links
    np.testing.assert_allclose(usual.score, brighter.score, rtol=1e-3, atol=1e-4)


def test_cells_that_change_more_may_move_farther(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    images, masks = (frames.astype(np.float64) for frames in blobs)
    images = np.zeros_like(images)
    images[1::2][masks[1::2] == 9] = 100.0  # cell 9 flickers, cell 1 does not change
    movie = Movie.open(images, masks.astype(np.uint16))
    cells = Detections.from_movie(movie, progress=False)
    tracker = ActivityTracker(contrast=None)
    graph = tracker.candidates(cells, movie, progress=False)
    reach = np.sqrt(-2 * np.log(0.01))
    distance = (graph.coords[graph.mother] - graph.coords[graph.daughter]).norm(dim=1).numpy()
    of_9 = cells.label[graph.mother.numpy()] == 9
    assert distance[of_9].max() > 20
    assert not of_9.all() or distance[~of_9].max(initial=0) <= 0.5 * reach


def test_every_method_takes_its_scores(bacteria: tuple[Movie, Detections]) -> None:
    movie, cells = bacteria
    perturbation = FeaturePerturbation(3)
    for method in ("SM", "FP", "FP+A", "AS", "auto", "bp"):
        layer = UncertaintyLayer(method, perturbation=perturbation)
        p = layer(layer.scores(ActivityTracker(), cells, movie, progress=False))
        total = p.null.double().index_add(0, p.graph.daughter, p.link.double())
        assert float((total - 1).abs().max().detach()) < 1e-6


def test_it_needs_images(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    movie = Movie.open(None, blobs[1])
    cells = Detections.from_movie(movie, progress=False)
    for without in (movie, None):
        with pytest.raises(InputError, match="give the movie's images"):
            ActivityTracker().candidates(cells, without, progress=False)
    other = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)), n_frames=5)
    with pytest.raises(InputError, match="other cells"):
        ActivityTracker().candidates(other, Movie.open(*blobs), progress=False)


@pytest.mark.parametrize("bad", [{"k": 0}, {"narrowest": -1}, {"smallest": 1.0}, {"contrast": 0.0}])
def test_options_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError):
        ActivityTracker(**bad)


def test_what_the_distance_tracker_estimates_is_estimated_without_noise() -> None:
    rng = np.random.default_rng(0)
    cells = Detections.from_points(np.repeat([0, 1], 30), rng.uniform(0, 99, (60, 2)))
    tracker = DistanceTracker()
    scores = FeaturePerturbation(5)(tracker, cells, progress=False)
    assert (scores.appear == tracker.candidates(cells).appear).all()
