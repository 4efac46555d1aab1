"""Links over gaps: which there are, and what they score beside links between consecutive frames."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.transformer import small_transformer
from torchtrack_uq import (
    ActivityTracker,
    CandidateGraph,
    Detections,
    DistanceTracker,
    FeaturePerturbation,
    InputError,
    Movie,
    NoiseSizes,
    OverlapTracker,
    TrackastraTracker,
    UncertaintyLayer,
)
from torchtrack_uq.datasets import read_ctc_sequence
from torchtrack_uq.links.names import EVENT_SCORES
from torchtrack_uq.posterior import map_links
from torchtrack_uq.trackers.activity import GreyLevels, cell_activity
from torchtrack_uq.trackers.neighbours import neighbour_links, typical_displacement, typical_displacements
from torchtrack_uq.trackers.overlap import measure_overlaps

MAKERS: dict[str, Callable[..., object]] = {
    "distance": DistanceTracker,
    "overlap": OverlapTracker,
    "activity": ActivityTracker,
    "trackastra": lambda **options: TrackastraTracker(small_transformer(), **options),
}


def links_of(graph: CandidateGraph, gap: int) -> dict[tuple[int, int], float]:
    of_gap = graph.gap == gap
    columns = (column[of_gap].tolist() for column in (graph.mother, graph.daughter, graph.score))
    return {(i, j): s for i, j, s in zip(*columns, strict=True)}


def cells_of(counts: list[int], seed: int, ndim: int = 2, size: float = 60.0) -> Detections:
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(len(counts)), counts)
    return Detections.from_points(frame, rng.uniform(0, size, (len(frame), ndim)), n_frames=len(counts))


counts = st.lists(st.integers(0, 6), min_size=1, max_size=7)


@pytest.mark.parametrize("name", MAKERS)
def test_links_between_consecutive_frames_are_the_same_to_the_last_digit(
    crop: tuple[Movie, Detections], name: str
) -> None:
    movie, cells = crop
    # the spread is estimated with an eye on other frames where links may reach them
    options = {"scale": typical_displacement(cells)} if name == "distance" else {}
    with torch.no_grad():
        pairs = MAKERS[name](**options).candidates(cells, movie, progress=False)
        for max_gap in (2, 3):
            graph = MAKERS[name](max_gap=max_gap, **options).candidates(cells, movie, progress=False)
            assert graph.max_gap == max_gap
            assert links_of(graph, 1) == links_of(pairs, 1)
            assert set(graph.gap.tolist()) == set(range(1, max_gap + 1))
            for event in EVENT_SCORES:
                assert torch.equal(getattr(graph, event), getattr(pairs, event))


@pytest.mark.parametrize("name", MAKERS)
def test_the_score_of_a_miss_counts_once_for_each_frame_skipped(
    crop: tuple[Movie, Detections], name: str
) -> None:
    movie, cells = crop
    with torch.no_grad():
        dear, cheap = (
            MAKERS[name](max_gap=3, miss=miss).candidates(cells, movie, progress=False)
            for miss in (-7.0, -2.0)
        )
    torch.testing.assert_close(dear.score, cheap.score - 5.0 * (cheap.gap - 1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", MAKERS)
def test_copies_without_noise_are_the_movie(crop: tuple[Movie, Detections], name: str) -> None:
    movie, cells = crop
    tracker = MAKERS[name](max_gap=3)
    with torch.no_grad():
        own = tracker.candidates(cells, movie, progress=False)
        copies = FeaturePerturbation(2, NoiseSizes.none()).copies(cells, movie)
        for copy in tracker.candidates_of_copies(cells, movie, copies, progress=False):
            assert copy.max_gap == 3
            assert torch.equal(copy.mother, own.mother)
            torch.testing.assert_close(copy.score, own.score, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MAKERS)
def test_frames_that_are_empty_on_the_way_are_skipped(crop: tuple[Movie, Detections], name: str) -> None:
    whole, _ = crop
    masks = np.stack(list(whole.masks))
    masks[2] = 0
    movie = Movie.open(np.stack(list(whole.images)), masks)
    cells = Detections.from_movie(movie, progress=False)
    tracker = MAKERS[name](max_gap=2)
    with torch.no_grad():
        graph = tracker.candidates(cells, movie, progress=False)
    into_3 = cells.frame[graph.daughter.numpy()] == 3
    assert into_3.any()
    assert set(graph.gap.numpy()[into_3]) == {2}


@pytest.mark.parametrize("name", MAKERS)
def test_movies_shorter_than_a_gap_have_the_links_that_there_are(
    crop: tuple[Movie, Detections], name: str
) -> None:
    whole, _ = crop
    movie = whole.select(range(2))
    cells = Detections.from_movie(movie, progress=False)
    with torch.no_grad():
        pairs = MAKERS[name]().candidates(cells, movie, progress=False)
        graph = MAKERS[name](max_gap=5).candidates(cells, movie, progress=False)
    assert graph.max_gap == 5
    assert links_of(graph, 1) == links_of(pairs, 1)
    assert graph.n_links == pairs.n_links


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "bad", [{"max_gap": 0}, {"max_gap": 1.5}, {"max_gap": True}, {"miss": -np.inf}, {"miss": np.nan}]
)
def test_gaps_and_misses_that_cannot_be_are_refused(name: str, bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(bad))} is"):
        MAKERS[name](**bad)


class TestNeighbours:
    @given(counts, st.integers(0, 100), st.integers(1, 4))
    def test_links_are_exactly_the_pairs_within_reach(
        self, sizes: list[int], seed: int, max_gap: int
    ) -> None:
        cells = cells_of(sizes, seed)
        radii = [12.0 * gap for gap in range(1, max_gap + 1)]
        mother, daughter, distance = neighbour_links(cells, radii, max_gap=max_gap)
        pairs = np.linalg.norm(cells.coords[:, None].astype(float) - cells.coords[None], axis=-1)
        gap = cells.frame[None] - cells.frame[:, None]
        reach = np.array([0.0, *radii])[np.clip(gap, 0, max_gap)]
        expected = np.argwhere((gap >= 1) & (gap <= max_gap) & (pairs <= reach))
        assert sorted(zip(mother.tolist(), daughter.tolist(), strict=True)) == sorted(
            map(tuple, expected.tolist())
        )
        np.testing.assert_allclose(distance, pairs[mother, daughter])

    @given(counts, st.integers(0, 100))
    def test_the_nearest_mothers_are_kept_in_each_frame(self, sizes: list[int], seed: int) -> None:
        cells = cells_of(sizes, seed)
        mother, daughter, distance = neighbour_links(cells, 30.0, max_candidates=2, max_gap=3)
        every = neighbour_links(cells, 30.0, max_gap=3)
        key = [np.stack([d, cells.frame[m]]) for m, d in ((mother, daughter), every[:2])]
        for pair in np.unique(key[1], axis=1).T:
            kept, all_of_them = (
                sorted(d[(pair == k.T).all(1)]) for k, d in ((key[0], distance), (key[1], every[2]))
            )
            assert kept == all_of_them[:2]

    def test_one_radius_for_each_gap_or_one_for_all(self) -> None:
        with pytest.raises(InputError, match="2 radii are given for cells up to 3 frames apart"):
            neighbour_links(cells_of([2, 2], 0), [5.0, 6.0], max_gap=3)
        with pytest.raises(InputError, match="radius must be positive"):
            neighbour_links(cells_of([2, 2], 0), [5.0, np.nan], max_gap=2)


class TestDisplacements:
    @staticmethod
    def sparse(steps: np.ndarray) -> Detections:
        """Cells far apart that take these (n_frames - 1, 100, 2) steps."""
        start = np.stack(np.meshgrid(np.arange(10.0), np.arange(10.0)), -1).reshape(1, -1, 2) * 200
        walks = np.concatenate([start, start + np.cumsum(steps, axis=0)])
        return Detections.from_points(np.repeat(np.arange(len(walks)), 100), walks.reshape(-1, 2))

    def test_random_walks_spread_with_the_square_root_of_the_gap(self) -> None:
        cells = self.sparse(np.random.default_rng(0).normal(0, 3, (30, 100, 2)))
        found = typical_displacements(cells, 4)
        np.testing.assert_allclose(found / found[0], np.sqrt([1, 2, 3, 4]), rtol=0.05)

    def test_straight_paths_spread_with_the_gap(self) -> None:
        step = np.random.default_rng(0).normal(0, 3, (1, 100, 2))
        found = typical_displacements(self.sparse(np.repeat(step, 8, axis=0)), 3)
        np.testing.assert_allclose(found / found[0], [1, 2, 3], rtol=0.02)

    def test_cells_that_were_missed_in_a_crowd_do_not_widen_it(self) -> None:
        rng = np.random.default_rng(0)
        cells = self.crowd(rng.normal(0, 2, (12, 400, 2)), spacing=20)
        kept = rng.random(len(cells)) > 0.1
        seen = Detections.from_points(cells.frame[kept], cells.coords[kept])
        assert typical_displacement(seen) > 2 * typical_displacement(cells)
        np.testing.assert_allclose(typical_displacements(seen, 2), [2.0, np.sqrt(8)], rtol=0.1)

    def test_where_cells_move_as_far_as_they_are_apart_all_of_them_count(self) -> None:
        rng = np.random.default_rng(0)
        cells = self.crowd(rng.normal(0, 15, (12, 400, 2)), spacing=20)
        assert typical_displacements(cells, 2)[0] == pytest.approx(typical_displacement(cells), rel=0.05)

    @staticmethod
    def crowd(steps: np.ndarray, spacing: float) -> Detections:
        """Cells on a square lattice, from which each frame's steps (n_frames, n, 2) take them."""
        side = np.arange(round(steps.shape[1] ** 0.5)) * spacing
        lattice = np.stack(np.meshgrid(side, side), -1).reshape(1, -1, 2)
        places = lattice + np.concatenate([steps[:1], steps[1:] + steps[:-1]]) / np.sqrt(2)
        return Detections.from_points(np.repeat(np.arange(len(steps)), steps.shape[1]), places.reshape(-1, 2))

    @given(counts, st.integers(0, 100), st.integers(1, 4))
    def test_they_grow_between_a_random_walk_and_a_straight_path(
        self, sizes: list[int], seed: int, max_gap: int
    ) -> None:
        cells = cells_of(sizes, seed)
        gaps = np.arange(1, max_gap + 1)
        present = np.flatnonzero(sizes)
        if not (np.diff(present) <= max_gap).any():
            with pytest.raises(InputError, match="no displacement can be estimated"):
                typical_displacements(cells, max_gap)
            return
        growth = typical_displacements(cells, max_gap)
        assert (np.diff(growth) >= 0).all()
        assert (growth / growth[0] >= np.sqrt(gaps) - 1e-9).all()
        assert (growth / growth[0] <= gaps + 1e-9).all()


class TestDistance:
    @given(counts, st.integers(0, 100), st.integers(1, 4))
    def test_scores_are_the_density_of_the_wider_gaussian(
        self, sizes: list[int], seed: int, max_gap: int
    ) -> None:
        cells = cells_of(sizes, seed, ndim=3)
        graph = DistanceTracker(search_range=40, scale=8, max_gap=max_gap, miss=-2.5).candidates(cells)
        assert graph.max_gap == max_gap
        if graph.n_links == 0:
            return
        growth = typical_displacements(cells, max_gap)
        scale = 8 * growth / growth[0]
        gap = graph.gap.numpy()
        its_scale = scale[gap - 1]
        step = (cells.coords[graph.mother.numpy()] - cells.coords[graph.daughter.numpy()]).astype(float)
        z = np.linalg.norm(step, axis=1) / its_scale
        expected = -(np.minimum(z, 5) ** 2) / 2 - 5 * np.log(np.maximum(z / 5, 1))
        expected += -3 * np.log(its_scale / 8) - 2.5 * (gap - 1)
        np.testing.assert_allclose(graph.score, expected, rtol=1e-4, atol=1e-4)

    def test_over_all_places_a_cell_is_found_as_likely_over_any_gap(self) -> None:
        """exp(score) sums to the same over a fine grid of daughters 1, 2 or 3 frames later, less the misses."""
        grid = np.stack(np.meshgrid(np.arange(-90.0, 91, 2), np.arange(-90.0, 91, 2)), -1).reshape(-1, 2)
        frame = np.repeat([0, 1, 2, 3], [1, *[len(grid)] * 3])
        cells = Detections.from_points(frame, np.concatenate([np.zeros((1, 2)), grid, grid, grid]))
        graph = DistanceTracker(scale=6, reach=1, max_candidates=1, max_gap=3, miss=-1.0).candidates(cells)
        mine = graph.mother == 0
        total = torch.bincount(graph.gap[mine], weights=graph.score[mine].double().exp())[1:]
        np.testing.assert_allclose(total / total[0], np.exp([0.0, -1.0, -2.0]), rtol=0.02)

    def test_of_equally_long_links_the_one_without_a_gap_scores_more(self) -> None:
        cells = Detections.from_points(np.array([0, 1, 2]), np.array([[0.0, 0], [6, 0], [0, 0]]))
        graph = DistanceTracker(scale=3, max_gap=2, miss=0.0).candidates(cells)
        over_gap = DistanceTracker(scale=3, max_gap=2, miss=0.0).candidates(
            Detections.from_points(np.array([0, 2]), np.array([[0.0, 0], [0.5, 0]]), n_frames=3)
        )
        at_once = DistanceTracker(scale=3, max_gap=2, miss=0.0).candidates(
            Detections.from_points(np.array([0, 1]), np.array([[0.0, 0], [0.5, 0]]), n_frames=3)
        )
        assert graph.n_links == 3
        assert float(over_gap.score) < float(at_once.score)

    @given(counts, st.integers(0, 100), st.integers(1, 5))
    def test_every_movie_has_probabilities(self, sizes: list[int], seed: int, max_gap: int) -> None:
        graph = DistanceTracker(max_gap=max_gap).candidates(cells_of(sizes, seed))
        assert graph.n_frames == len(sizes)
        p = UncertaintyLayer("exact")(graph)
        total = p.null.double().index_add(0, graph.daughter, p.link.double())
        np.testing.assert_allclose(total[graph.is_daughter].detach(), 1.0, atol=1e-6)


class TestOverlap:
    @pytest.mark.parametrize("max_gap", [1, 2, 4])
    def test_every_overlapping_pair_is_found_once(self, max_gap: int) -> None:
        rng = np.random.default_rng(0)
        masks = rng.integers(0, 5, (4, 12, 12)).astype(np.uint8)
        masks[2] = 0
        movie = Movie.open(None, masks)
        cells = Detections.from_movie(movie, progress=False)
        found = measure_overlaps(movie, cells, max_gap=max_gap, progress=False)
        columns = (found.mother, found.daughter, found.shared, found.mother_area, found.daughter_area)
        table = {(i, j): numbers for i, j, *numbers in zip(*(c.tolist() for c in columns), strict=True)}
        assert len(table) == len(found.mother)
        inside = [masks[t] == label for t, label in zip(cells.frame, cells.label, strict=True)]
        expected = {
            (i, j): [int((inside[i] & inside[j]).sum()), int(inside[i].sum()), int(inside[j].sum())]
            for i in range(len(cells))
            for j in range(len(cells))
            if 1 <= cells.frame[j] - cells.frame[i] <= max_gap and (inside[i] & inside[j]).any()
        }
        assert table == expected


class TestActivity:
    def test_it_is_what_changed_until_the_later_frame(self, blobs: tuple[np.ndarray, np.ndarray]) -> None:
        images, masks = blobs
        movie = Movie.open(images, masks)
        cells = Detections.from_movie(movie, progress=False)
        found = cell_activity(movie, cells, GreyLevels(1.0), max_gap=3, progress=False)
        assert found.shape == (3, len(cells))
        grey = images.astype(float)
        for i, (t, label) in enumerate(zip(cells.frame, cells.label, strict=True)):
            for gap in (1, 2, 3):
                later = t + gap < len(grey)
                change = abs(grey[t] - grey[t + gap])[masks[t] == label].mean() / 2 if later else 0.0
                assert found[gap - 1, i] == pytest.approx(change)

    def test_widths_never_fall_with_the_gap(self) -> None:
        widths = ActivityTracker(k=1.0, max_gap=3).widths(np.array([[4.0, 1.0], [2.0, 3.0], [5.0, 0.0]]))
        np.testing.assert_array_equal(widths, [[4, 1], [4, 3], [5, 3]])


class TestADeletedCellOfARealMovie:
    """A cell whose mother was missed in the frame before: with links over gaps, she is found two frames before."""

    @staticmethod
    def without_one(folder: Path) -> tuple[Movie, Detections, int, int]:
        """Six frames of HeLa cells, one cell of frame 3 deleted; its mother and its daughter in what is left."""
        whole = read_ctc_sequence(folder / "Fluo-N2DL-HeLa" / "01", use_images=False, progress=False)
        annotated = whole.frames(0, 6)
        cells, mother = annotated.detections, annotated.mother
        daughters = np.bincount(mother[mother >= 0], minlength=len(cells))
        alone = (cells.frame == 3) & (daughters == 1) & (mother >= 0)
        gone = next(i for i in np.flatnonzero(alone) if daughters[mother[i]] == 1)
        masks = np.stack([annotated.movie.read_mask(t) for t in range(6)])
        masks[3][masks[3] == cells.label[gone]] = 0
        movie = Movie.open(None, masks)
        left = Detections.from_movie(movie, progress=False)
        daughter = int(np.flatnonzero(mother == gone)[0])
        ends = (int(left.find(int(cells.frame[i]), int(cells.label[i]))) for i in (mother[gone], daughter))
        return (movie, left, *ends)

    @pytest.mark.parametrize("name", ["distance", "overlap", "small_2d"])
    def test_is_linked_over(self, data_folder: Path, name: str) -> None:
        from torchtrack_uq.trackers.trackastra.models import load_model

        movie, cells, mother, daughter = self.without_one(data_folder)
        make = {"small_2d": lambda **options: load_model("small_2d", "cpu", **options), **MAKERS}[name]
        with torch.no_grad():
            graph = make(max_gap=2).candidates(cells, movie, progress=False)
            p = UncertaintyLayer("auto")(graph)
            before = make().candidates(cells, movie, progress=False)
            alone = UncertaintyLayer("auto")(before)
        link = (graph.mother == mother) & (graph.daughter == daughter)
        assert int(link.sum()) == 1
        assert bool(map_links(graph)[link.numpy()].all())
        assert float(p.link[link]) > 0.5
        assert not bool(((before.mother == mother) & (before.daughter == daughter)).any())
        assert float(p.null[daughter]) < float(alone.null[daughter])
