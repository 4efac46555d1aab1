"""Masks with errors made in them: as many as asked for, the same for the same seed, and all on record."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from torchtrack_uq.datasets.corrupt import CorruptedMasks, CorruptionRates, write_corrupted
from torchtrack_uq.datasets.corrupt_frame import Wanted, corrupt_frame, near_pairs, with_boundary_noise
from torchtrack_uq.datasets.corrupt_points import corrupt_points
from torchtrack_uq.datasets.ctc import CtcSequence
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import open_frames

MASKS = arrays(
    np.int32, array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9), elements=st.integers(0, 5)
)
COUNTS = st.builds(Wanted, *[st.integers(0, 4)] * 4)


def grid(n: int = 6, size: int = 8, gap: int = 4, ndim: int = 2) -> np.ndarray:
    """Cells 1 to n ** 2 (or n ** 3) of `size` pixels a side, `gap` apart."""
    step = size + gap
    mask = np.zeros((n * step,) * ndim, np.uint16)
    for k, corner in enumerate(np.ndindex(*(n,) * ndim), start=1):
        mask[tuple(slice(c * step + gap // 2, c * step + gap // 2 + size) for c in corner)] = k
    return mask


def labels(mask: np.ndarray) -> set[int]:
    return {int(k) for k in np.unique(mask)} - {0}


@given(mask=MASKS, wanted=COUNTS, seed=st.integers(0, 99))
def test_the_record_says_what_became_of_every_label(mask: np.ndarray, wanted: Wanted, seed: int) -> None:
    before = mask.copy()
    found, done = corrupt_frame(mask, wanted, np.random.default_rng(seed))
    assert np.array_equal(mask, before)
    gone = [k for each in done for k in each.before]
    new = [k for each in done for k in each.after]
    assert len(gone) == len(set(gone))
    assert len(new) == len(set(new))
    assert (labels(mask) - set(gone)) | set(new) == labels(found)
    assert set(new) - set(gone) == labels(found) - labels(mask)
    for kind, most in wanted._asdict().items():
        assert sum(each.kind == kind for each in done) <= most
    assert sum(e.kind == "missed" for e in done) == min(wanted.missed, len(labels(mask)))
    for each in done:
        own = np.isin(mask, each.before) if each.before else mask == -1
        now = np.isin(found, each.after) if each.after else found == -1
        if each.kind == "missed":
            assert not found[own].any()
        elif each.kind == "merged":
            assert now[own].all()
            assert (mask[now & ~own] == 0).all()
        elif each.kind == "split":
            first, second = ((found == k).sum() for k in each.after)
            assert np.array_equal(own, now)
            assert first >= second > 0
        else:
            assert (mask[now] == 0).all()
            assert now.any()
    touched = np.isin(mask, gone) | np.isin(found, new)
    assert np.array_equal(found[~touched], mask[~touched])


@given(rate=st.floats(0, 1), n=st.integers(0, 1000), seed=st.integers(0, 99))
def test_rates_are_met_to_within_one_error_a_frame(rate: float, n: int, seed: int) -> None:
    wanted = CorruptionRates(rate, rate, rate, rate).draw(n, np.random.default_rng(seed))
    assert all(abs(count - rate * n) < 1 + 1e-6 for count in wanted)


def test_rates_are_met_on_average_where_a_frame_has_less_than_one_error() -> None:
    masks = np.stack([grid(3)] * 400)
    found = CorruptedMasks(masks, CorruptionRates(0.05, 0.02, 0.03, 0.04), seed=1)
    counts = {kind: done for kind, (done, wanted) in found.counts().items()}
    n = 400 * 9
    for kind, rate in (("missed", 0.05), ("split", 0.03), ("false", 0.04)):
        assert abs(counts[kind] / n - rate) < 0.01
    assert counts["merged"] == 0  # 4 pixels are half a diameter, too far to run together


@pytest.mark.parametrize("ndim", [2, 3])
def test_every_kind_of_error_is_made_in_two_and_three_dimensions(ndim: int) -> None:
    mask = grid(4, 6, 1, ndim)
    found, done = corrupt_frame(np.pad(mask, 12), Wanted(3, 3, 3, 3), np.random.default_rng(0))
    kinds = [each.kind for each in done]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == dict.fromkeys(Wanted._fields, 3)
    for each in done:
        if each.kind == "merged":  # one piece, the gap between the two filled
            _, n_pieces = ndimage.label(found == each.after[0], np.ones((3,) * ndim))
            assert n_pieces == 1
        if each.kind == "split":
            halves = [(found == k).sum() for k in each.after]
            assert abs(halves[0] - halves[1]) <= 6 ** (ndim - 1) + 1


def test_a_split_runs_along_the_minor_axis() -> None:
    mask = np.zeros((20, 40), np.uint8)
    mask[8:12, 4:34] = 7
    found, done = corrupt_frame(mask, Wanted(0, 0, 1, 0), np.random.default_rng(3))
    assert done[0].after == (7, 8)
    columns = [set(np.nonzero(found == k)[1].tolist()) for k in (7, 8)]
    assert not columns[0] & columns[1]
    assert {len(c) for c in columns} == {15}


def test_an_empty_frame_stays_empty() -> None:
    everything = CorruptionRates(1, 1, 1, 1, 0.1)
    assert not CorruptedMasks(np.zeros((3, 9, 9), np.uint8), everything).read(1).any()


def test_cells_of_one_pixel_are_not_split_and_may_be_missed_or_run_together() -> None:
    mask = np.diag([3, 4, 5]).astype(np.uint8)
    found, done = corrupt_frame(mask, Wanted(0, 0, 3, 0), np.random.default_rng(0))
    assert not done
    assert np.array_equal(found, mask)
    _, done = corrupt_frame(np.array([[3, 4, 0, 5]]), Wanted(0, 2, 0, 0), np.random.default_rng(0))
    assert [each.before for each in done] == [(3, 4)]
    found, _ = corrupt_frame(mask, Wanted(3, 0, 0, 0), np.random.default_rng(0))
    assert not found.any()


def test_touching_pairs_run_together_before_others() -> None:
    mask = np.zeros((12, 60), np.uint8)
    for k, start in enumerate(
        (1, 11, 22, 32), start=1
    ):  # 1 and 2 touch, and 3 and 4; one pixel between 2 and 3
        mask[1:11, start : start + 10] = k
    pairs, gap = near_pairs(mask, 0.25)
    assert pairs.tolist() == [[1, 2], [2, 3], [3, 4]]
    assert gap.tolist() == [0, 1, 0]
    for seed in range(5):
        _, done = corrupt_frame(mask, Wanted(0, 2, 0, 0), np.random.default_rng(seed))
        assert sorted(each.before for each in done) == [(1, 2), (3, 4)]


def test_there_is_no_error_where_there_is_no_room_and_a_warning_says_so(tmp_path: Path) -> None:
    full = np.ones((2, 8, 8), np.uint8)
    full[:, :, 4:] = 2
    masks = CorruptedMasks(full, CorruptionRates(merged=1, false=1))
    assert masks.counts() == {"missed": (0, 0), "merged": (2, 4), "split": (0, 0), "false": (0, 4)}
    with pytest.warns(UserWarning, match="made were merged 2 of 4, false 0 of 4"):
        write_corrupted(full, tmp_path / "out", CorruptionRates(merged=1, false=1), progress=False)


def test_made_up_cells_have_the_size_of_cells_and_stay_out_of_those_that_were_deleted() -> None:
    mask = grid(6, 8, 4)
    found, done = corrupt_frame(mask, Wanted(12, 0, 0, 12), np.random.default_rng(0))
    made = [each.after[0] for each in done if each.kind == "false"]
    assert len(made) > 0
    for k in made:
        assert 32 <= (found == k).sum() <= 64
        assert not mask[found == k].any()


@given(seed=st.integers(0, 2**40), other=st.integers(0, 3))
def test_a_frame_has_the_same_errors_whenever_it_is_read(seed: int, other: int) -> None:
    masks = np.stack([grid(3)] * 5)
    rates = CorruptionRates(0.2, 0.1, 0.1, 0.1, 0.02)
    found = CorruptedMasks(masks, rates, seed)
    frames = [found.read(t) for t in range(5)]
    assert np.array_equal(found.read(other), frames[other])
    assert np.array_equal(CorruptedMasks(masks, rates, seed).read(other), frames[other])
    strided = CorruptedMasks(masks[::2], rates, seed, numbers=range(0, 5, 2))
    assert np.array_equal(strided.read(1), found.strided(2).read(1))


def test_another_seed_makes_other_errors_and_a_higher_rate_adds_to_them() -> None:
    mask = grid(6)[None]

    def missed(rate: float, seed: int) -> set[str]:
        return set(CorruptedMasks(mask, CorruptionRates(missed=rate), seed).table()["before"])

    assert missed(0.2, 0) != missed(0.2, 1)
    assert missed(0.2, 0) < missed(0.5, 0)


@given(mask=MASKS, seed=st.integers(0, 99))
def test_noise_on_outlines_keeps_every_cell_and_takes_nothing_from_others(
    mask: np.ndarray, seed: int
) -> None:
    found = with_boundary_noise(mask, 0.1, np.random.default_rng(seed))
    assert labels(found) == labels(mask)
    assert (found[mask > 0] == mask[mask > 0])[found[mask > 0] > 0].all()
    assert np.array_equal(with_boundary_noise(mask, 0.0, np.random.default_rng(seed)), mask)


def test_noise_on_outlines_moves_them_as_far_as_asked() -> None:
    y, x = np.mgrid[:120, :120]
    mask = ((y - 60) ** 2 + (x - 60) ** 2 < 40**2).astype(np.uint8)
    changed = [
        np.mean(with_boundary_noise(mask, sigma, np.random.default_rng(0)) != mask)
        for sigma in (0.005, 0.02, 0.08)
    ]
    assert 0 < changed[0] < changed[1] < changed[2] < 0.2


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    masks = np.stack([grid(4)] * 3)
    rates = CorruptionRates(0.1, 0, 0.1, 0.1)
    source = write_corrupted(masks, tmp_path / "out", rates, seed=5, progress=False)
    found = open_frames(tmp_path / "out")
    assert found.n_frames == 3
    for t in range(3):
        assert np.array_equal(found.read(t), source.read(t))
    table = (tmp_path / "out" / "corruptions.csv").read_text().splitlines()
    assert table[0] == "frame,kind,before,after"
    assert len(table) == 1 + len(source.table())
    with pytest.raises(InputError, match="not an empty folder"):
        write_corrupted(masks, tmp_path / "out", rates)


def test_impossible_corruptions_are_refused() -> None:
    for bad in ({"missed": 1.1}, {"false": -0.1}, {"split": float("nan")}):
        with pytest.raises(InputError, match="expected a share of 0 to 1"):
            CorruptionRates(**bad)
    with pytest.raises(InputError, match="expected a finite number"):
        CorruptionRates(boundary=np.inf)
    with pytest.raises(InputError, match="expected integer labels"):
        CorruptedMasks(np.zeros((2, 3, 3)), CorruptionRates())
    with pytest.raises(InputError, match="seed is -1"):
        CorruptedMasks(np.zeros((2, 3, 3), int), CorruptionRates(), seed=-1)
    with pytest.raises(InputError, match="3 numbers were given"):
        CorruptedMasks(np.zeros((2, 3, 3), int), CorruptionRates(), numbers=range(3))
    with pytest.raises(InputError, match="frame 0: labels run from -3"):
        CorruptedMasks(np.full((2, 3, 3), -3), CorruptionRates()).read(0)


@given(
    n=st.integers(0, 60),
    missed=st.floats(0, 1),
    false=st.floats(0, 1),
    seed=st.integers(0, 99),
    ndim=st.sampled_from([2, 3]),
)
def test_points_are_missed_and_made_up(n: int, missed: float, false: float, seed: int, ndim: int) -> None:
    frame = np.repeat([0, 2], n)
    coords = np.random.default_rng(0).uniform(0, 1000, (2 * n, ndim))
    cells = Detections.from_points(frame, coords, np.tile(np.arange(n) + 5, 2), n_frames=4)
    found, source = corrupt_points(cells, CorruptionRates(missed, false=false * 0.2), seed)
    kept = source >= 0
    assert found.n_frames == 4
    for name in ("frame", "label", "coords"):
        assert np.array_equal(getattr(found, name)[kept], getattr(cells, name)[source[kept]])
    for t in (0, 2):
        inside = found.frame == t
        assert abs((inside & kept).sum() - n * (1 - missed)) < 1 + 1e-6
        assert abs((inside & ~kept).sum() - n * false * 0.2) < 1 + 1e-6
    assert set(found.frame.tolist()) <= {0, 2}
    assert (found.label[~kept] > n + 4).all()


def test_points_have_nothing_to_merge() -> None:
    cells = Detections.from_points(np.zeros(3, int), np.zeros((3, 2)))
    with pytest.raises(InputError, match="missed and false only"):
        corrupt_points(cells, CorruptionRates(merged=0.1))
    with pytest.warns(UserWarning, match="made were false"):
        # all in one place, nowhere else to be
        corrupt_points(
            Detections.from_points(np.zeros(2, int), np.array([[0.0, 0], [0, 5]])), CorruptionRates(false=1)
        )


@pytest.mark.parametrize("name", ["Fluo-N2DL-HeLa", "mouse-epidermis", "Fluo-N2DH-SIM+"])
def test_real_movies_get_the_errors_that_were_asked_for(name: str, data_folder: Path) -> None:
    masks = open_frames(CtcSequence.find(data_folder / name / "01").masks).select(range(10))
    found = CorruptedMasks(masks, CorruptionRates(0.05, 0.01, 0.01, 0.01))
    assert all(done == wanted for done, wanted in found.counts().values())
    table = found.table()
    n_cells = sum(len(labels(mask)) for mask in masks)
    assert abs((table["kind"] == "missed").sum() - 0.05 * n_cells) < 10
