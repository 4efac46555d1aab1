"""What is known of every cell, and where it goes with the graph."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from torchtrack_uq import CandidateGraph, Detections, InputError, PerturbedScores
from torchtrack_uq.links.covariates import cell_covariates, distance_to_border, with_covariates
from torchtrack_uq.links.names import COVARIATES


def dividing(scale: float = 1.0) -> tuple[Detections, CandidateGraph]:
    """A cell of 4 pixels' diameter becomes two of half its area; another one stays as it is."""
    places = np.array([[10.0, 10], [30, 10], [10, 7], [10, 13], [30, 13]]) * scale
    diameter = np.array([4, 4, 4 / np.sqrt(2), 4 / np.sqrt(2), 4])[:, None] * scale
    cells = replace(
        Detections.from_points(np.array([0, 0, 1, 1, 1]), places),
        features={"equivalent_diameter_area": diameter.astype(np.float32)},
        field_shape=(int(40 * scale) + 1, int(40 * scale) + 1),
    )
    return cells, CandidateGraph.from_links(cells, [0, 0, 1, 1], [2, 3, 4, 2], [0.0, 0, 0, 0], max_gap=2)


def test_covariates_are_those_by_hand() -> None:
    cells, graph = dividing()
    found = dict(zip(COVARIATES, cell_covariates(cells, graph).T, strict=True))
    assert found["border"].tolist() == pytest.approx(
        [10 / 5, 10 / 5, 7 / 5, 10 / 5, 10 / 5]
    )  # 3 a step, 2 a radius
    assert found["shrinking"].tolist() == pytest.approx([1, 0.5, 0, 0, 0], abs=1e-6)
    assert found["size"].tolist() == pytest.approx([0, 0, 0, 0, 1], abs=1e-6)


def test_covariates_do_not_know_how_many_pixels_a_cell_has() -> None:
    small, large = (cell_covariates(*dividing(scale)) for scale in (1.0, 3.0))
    torch.testing.assert_close(small, large)


def test_points_have_the_box_around_them_as_field_and_no_sizes() -> None:
    cells = Detections.from_points(np.array([0, 0, 1]), np.array([[5.0, 0, 0], [5, 8, 8], [0, 2, 3]]))
    assert distance_to_border(cells).tolist() == [0, 0, 2]  # z is not looked at
    found = cell_covariates(cells, CandidateGraph.from_links(cells, [], [], []))
    assert torch.equal(found[:, 1:], torch.zeros(3, 2))
    assert bool(torch.isfinite(found).all())


def test_movies_without_cells_or_with_an_empty_frame_have_covariates() -> None:
    nobody = Detections.from_points(np.zeros(0, int), np.zeros((0, 2)), n_frames=3)
    assert cell_covariates(nobody, CandidateGraph.from_links(nobody, [], [], [])).shape == (0, 3)
    gap = Detections.from_points(np.array([0, 2]), np.zeros((2, 2)), n_frames=3)
    graph = CandidateGraph.from_links(gap, [0], [1], [0.0], max_gap=2)
    assert bool(torch.isfinite(cell_covariates(gap, graph)).all())


def test_they_survive_batches_dtypes_and_noise() -> None:
    cells, graph = dividing()
    graph = with_covariates(graph, cells)
    both = CandidateGraph.batch([graph, graph])
    assert torch.equal(both.covariates, torch.cat([graph.covariates] * 2))
    for part in both.unbatch():
        assert torch.equal(part.covariates, graph.covariates)
    assert torch.equal(graph.to(torch.float64).detach().covariates, graph.covariates)
    noisy = PerturbedScores.of(graph, [graph, graph])
    assert torch.equal(noisy.mean_graph().covariates, graph.covariates)
    plain = replace(graph, covariates=None)
    assert torch.equal(
        with_covariates(PerturbedScores.of(plain, [plain]), cells).graph.covariates, graph.covariates
    )
    with pytest.raises(InputError, match="some movies have covariates"):
        CandidateGraph.batch([graph, plain])


def test_what_does_not_fit_is_refused() -> None:
    cells, graph = dividing()
    with pytest.raises(InputError, match="expected the same"):
        cell_covariates(Detections.from_points(np.array([0]), np.zeros((1, 2))), graph)
    with pytest.raises(InputError, match="before movies are batched"):
        cell_covariates(
            Detections.from_points(np.repeat(np.arange(4), [2, 3, 2, 3]), np.zeros((10, 2))),
            CandidateGraph.batch([graph, graph]),
        )
    with pytest.raises(InputError, match="expected \\(5, 3\\) floats"):
        replace(graph, covariates=torch.zeros(5, 2))
    with pytest.raises(InputError, match="NaN"):
        replace(graph, covariates=torch.full((5, 3), torch.nan))
    broken = replace(cells, features={"equivalent_diameter_area": np.full((5, 1), np.nan, np.float32)})
    with pytest.raises(InputError, match="of cell 0 is nan"):
        cell_covariates(broken, graph)
    with pytest.raises(InputError, match="field_shape"):
        replace(cells, field_shape=(3, 3, 3))


def test_the_field_is_that_of_the_masks() -> None:
    from torchtrack_uq import Movie

    masks = np.zeros((2, 20, 30), np.uint16)
    masks[:, 4:7, 24:27] = 1
    cells = Detections.from_movie(Movie.open(None, masks), progress=False)
    assert cells.field_shape == (20, 30)
    assert distance_to_border(cells).tolist() == [4.0, 4.0] == [29 - 25.0] * 2


def test_planes_are_borders_where_depth_counts() -> None:
    place = np.array([[1.0, 20, 20], [5, 20, 20], [5, 3, 20], [-2, 20, 20]])
    cells = Detections.from_points(np.zeros(4, int), place)
    assert distance_to_border(cells, (10, 40, 40)).tolist() == [19, 19, 3, 19]
    assert distance_to_border(cells, (10, 40, 40), depth=True).tolist() == [1, 4, 3, 0]
