"""Simulated training windows: the truth of each link, and features as masks would give them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from torchtrack_uq.movies.features import measure_frame
from torchtrack_uq.training.sampler import WindowSampler
from torchtrack_uq.training.simulated import Scene, SimulatedWindows
from torchtrack_uq.training.simulated.cells import simulate_cells
from torchtrack_uq.training.simulated.detected import detect
from torchtrack_uq.training.simulated.drawn_windows import simulated_window
from torchtrack_uq.training.window import Window

seeds = st.integers(0, 2**32 - 1)
FAULTLESS = {"missed": 0.0, "false": 0.0, "merged": 0.0, "split": 0.0}


def a_scene(seed: int, ndim: int = 2, **changes: object) -> Scene:
    scene = Scene.draw(np.random.default_rng(seed), ndim, n_frames=4, most_cells=30, diameter=24.0)
    return replace(scene, **changes)  # type: ignore[arg-type]


@given(seeds, st.sampled_from([2, 3]), st.integers(2, 4), st.integers(1, 3))
def test_links_lead_to_the_frame_that_they_say(seed: int, ndim: int, n_frames: int, max_gap: int) -> None:
    window = SimulatedWindows(ndim, 24.0).draw(np.random.default_rng(seed), n_frames, 90, max_gap)
    assert len(window) <= 90
    assert (np.diff(window.frame) >= 0).all()
    assert np.isfinite(window.coords).all()
    assert np.isfinite(window.features).all()
    assert (window.features[:, 0] > 0).all()
    columns = [window.mother, *window.earlier.T]
    for gap, mother in enumerate(columns, start=1):
        has = mother >= 0
        assert (window.frame[has] - window.frame[mother[has]] == gap).all()
    known = [window.has_target, *window.earlier_known.T]
    for gap, column in enumerate(known, start=1):
        assert not column[window.frame < gap].any()


@given(seeds, st.sampled_from([2, 3]))
def test_nobody_has_more_than_two_daughters(seed: int, ndim: int) -> None:
    window = SimulatedWindows(ndim, 24.0).draw(np.random.default_rng(seed), 4, 120)
    assert np.bincount(window.mother[window.mother >= 0], minlength=1).max() <= 2


@given(seeds)
def test_the_ancestor_two_frames_before_is_the_mothers_mother(seed: int) -> None:
    window, _, _ = simulated_window(a_scene(seed, **FAULTLESS), np.random.default_rng(seed), max_gap=2)
    has = window.mother >= 0
    assert np.array_equal(window.earlier[has, 0], window.mother[window.mother[has]])


def test_a_missed_cell_is_bridged() -> None:
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        window = SimulatedWindows(2, 24.0).draw(rng, 4, 120, max_gap=2)
        bridged = window.has_target & (window.mother < 0) & window.earlier_known[:, 0]
        found += int((window.earlier[bridged, 0] >= 0).sum())
    assert found > 10


@given(seeds)
def test_the_same_seed_draws_the_same_window(seed: int) -> None:
    first, second = (SimulatedWindows(2, 24.0).draw(np.random.default_rng(seed), 3, 60, 2) for _ in range(2))
    for name in ("frame", "coords", "features", "mother", "has_target", "earlier", "earlier_known"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_where_nothing_moves_the_nearest_is_the_mother() -> None:
    still = dict.fromkeys(["step", "drift", "shake", "flow", "strain", "expansion", "divide", "die"], 0.0)
    scene = a_scene(3, apart=0.0, depth_noise=0.0, deform=0.01, swell=0.01, **still, **FAULTLESS)
    window, _, _ = simulated_window(scene, np.random.default_rng(3))
    later = np.flatnonzero(window.frame > 0)
    np.testing.assert_allclose(window.coords[later], window.coords[window.mother[later]], atol=1e-3)


@given(seeds, st.sampled_from([2, 3]))
def test_of_a_whole_colony_every_cell_comes_from_one_that_is_seen(seed: int, ndim: int) -> None:
    scene = a_scene(seed, ndim, is_whole=True, is_field=False, divide=0.8, grows=True, die=0.0, **FAULTLESS)
    window, seen, _ = simulated_window(scene, np.random.default_rng(seed))
    assert seen.all()
    assert ((window.mother >= 0) == (window.frame > 0)).all()
    assert (np.diff(np.bincount(window.frame)) >= 0).all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_colonies_that_expand_are_as_dense_as_before(ndim: int) -> None:
    """Without their expansion cells that divide crowd where their mothers were."""
    assert 0.85 < _spacing_kept(ndim) < 1.15
    assert _spacing_kept(ndim, expansion=0.0) < 0.85


def _spacing_kept(ndim: int, **changes: object) -> float:
    """Distance of neighbours in the last frame of whole colonies, as a share of that in the first, on average."""
    ratio = []
    for seed in range(200):
        scene = Scene.draw(np.random.default_rng(seed), ndim, n_frames=4, most_cells=60, diameter=24.0)
        if not scene.is_whole or scene.divide < 0.2:
            continue
        window, _, _ = simulated_window(
            replace(scene, strain=0.0, die=0.0, **FAULTLESS, **changes),  # type: ignore[arg-type]
            np.random.default_rng(seed),
        )
        spacing = [
            np.median(cKDTree(at).query(at, k=2)[0][:, 1])
            for at in (window.coords[window.frame == t] for t in (0, 3))
        ]
        ratio.append(spacing[1] / spacing[0])
    assert len(ratio) >= 5
    return float(np.mean(ratio))


@pytest.mark.parametrize("seed", range(4))
def test_features_are_those_of_painted_ellipses(seed: int) -> None:
    """Parity with `measure_frame` of a mask in which the cell is painted."""
    scene = a_scene(seed, rough=0.0, divide=0.0, diameter=60.0, is_field=False, **FAULTLESS)
    rng = np.random.default_rng(seed)
    cells = next(simulate_cells(scene, rng))
    window, _, _ = simulated_window(scene, np.random.default_rng(seed))
    grid = np.stack(np.meshgrid(*[np.arange(700) - 350.0] * 2, indexing="ij"), axis=-1)
    for i in range(3):
        semi = np.exp(cells.axes[i]) * scene.diameter
        local = grid @ cells.turned[i]
        mask = ((local / semi) ** 2).sum(axis=-1) <= 1
        measured = measure_frame(mask.astype(np.int64))
        assert window.features[i, 0] == pytest.approx(measured.diameter[0], rel=0.08)  # sizes vary by .02
        np.testing.assert_allclose(
            window.features[i, 2:-1], measured.inertia[0], atol=0.02 * np.abs(measured.inertia[0]).max() + 0.5
        )


@given(seeds, st.sampled_from([2, 3]))
def test_parts_together_have_the_moments_of_the_cell(seed: int, ndim: int) -> None:
    whole = a_scene(seed, ndim, rough=0.0, depth_noise=0.0, **FAULTLESS)
    cells = next(simulate_cells(whole, np.random.default_rng(seed)))
    uncut = detect(cells, whole, np.random.default_rng(seed))
    cut = detect(cells, replace(whole, split=1.0), np.random.default_rng(seed))
    n = len(uncut)
    assert len(cut) == 2 * n
    volume = cut.size**ndim
    a, b = volume[:n], volume[n:]
    np.testing.assert_allclose((a + b) ** (1 / ndim), uncut.size, rtol=1e-9)
    middle = (a[:, None] * cut.place[:n] + b[:, None] * cut.place[n:]) / (a + b)[:, None]
    np.testing.assert_allclose(middle, uncut.place, atol=1e-9)
    assert not cut.sure.any()


@given(seeds)
def test_a_merger_has_the_moments_of_both(seed: int) -> None:
    scene = a_scene(seed, spacing=0.95, apart=0.5, rough=0.0, **FAULTLESS)
    cells = next(simulate_cells(scene, np.random.default_rng(seed)))
    apart = detect(cells, scene, np.random.default_rng(seed))
    merged = detect(cells, replace(scene, merged=1.0), np.random.default_rng(seed))
    assert len(merged) < len(apart)

    def moments(found: object) -> tuple[float, np.ndarray, np.ndarray]:
        weight = found.size**2  # type: ignore[attr-defined]
        place = found.place  # type: ignore[attr-defined]
        second = found.covariance + np.einsum("ni,nj->nij", place, place)  # type: ignore[attr-defined]
        return weight.sum(), weight @ place, np.einsum("n,nij->ij", weight, second)

    for one, other in zip(moments(apart), moments(merged), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


def test_scenes_are_as_different_as_movies_are() -> None:
    """Places from standing still to more than half the distance of neighbours, shapes from discs to rods."""
    scenes = [a_scene(seed) for seed in range(300)]
    steps = np.array([scene.step / scene.spacing for scene in scenes])
    assert steps.min() < 0.02 < 0.5 < steps.max()
    aspects = np.array([scene.aspect for scene in scenes])
    assert aspects.min() < 1.1 < 4 < aspects.max()
    assert {scene.is_field for scene in scenes} == {True, False}
    assert {scene.brightness > 0 for scene in scenes} == {True, False}


class TestSampling:
    def test_without_movies_all_windows_are_simulated(self) -> None:
        sampler = WindowSampler([], simulated=SimulatedWindows(2, 24.0), max_cells=60, max_gap=2)
        windows = [sampler[i] for i in range(5)]
        assert all(isinstance(window, Window) and window.has_target.any() for window in windows)
        assert all(window.earlier.shape == (len(window), 1) for window in windows)

    def test_window_i_depends_on_seed_and_i_alone(self) -> None:
        one, other = (WindowSampler([], simulated=SimulatedWindows(3, 24.0), seed=4) for _ in range(2))
        _ = other[0]
        assert np.array_equal(one[7].coords, other[7].coords)
