"""Masks of simulated cells hold each of them once, where it is, and images show them."""

import numpy as np
import pytest

from torchtrack_uq.datasets import CorruptionRates
from torchtrack_uq.datasets.match import match_frame
from torchtrack_uq.datasets.simulation import Conditions, stream
from torchtrack_uq.datasets.simulation.painting import found_mask, image, paint, true_mask
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.features import measure_frame

SPARSE = Conditions(3, 60, (400, 300), apart=24.0, diameter=14.0, diameter_spread=0.05)
CROWDED = Conditions(3, 900, (300, 300), apart=7.0, diameter=11.0)
SPACE = Conditions(2, 60, (14, 90, 80), apart=14.0, diameter=9.0, motion=1.0, voxel_size=(2.0, 1.0, 1.0))


@pytest.mark.parametrize("conditions", [SPARSE, SPACE])
def test_masks_agree_with_points(conditions: Conditions) -> None:
    for frame in stream(conditions, 1):
        mask = true_mask(frame, paint(conditions, frame.true.place, frame.looks))
        cells = measure_frame(mask, None, conditions.aspect)
        assert np.array_equal(cells.label, frame.true.track)
        reach = conditions.diameter
        whole = ((frame.true.place > reach) & (frame.true.place < conditions.field - reach)).all(axis=1)
        away = np.linalg.norm(cells.centroid * conditions.aspect - frame.true.place, axis=1)[whole]
        assert np.median(away) < 0.5
        ratio = cells.diameter[whole] / frame.looks.diameter[whole]
        assert np.median(ratio) == pytest.approx(1, abs=0.05)


def test_crowded_cells_touch_without_overlap_and_none_is_lost() -> None:
    for frame in stream(CROWDED, 2):
        painted = paint(CROWDED, frame.true.place, frame.looks)
        mask = true_mask(frame, painted)
        assert np.array_equal(np.unique(mask[mask > 0]), frame.true.track)
        assert painted.depth[painted.owner >= 0].max() < 1
        a, b = mask[:, 1:], mask[:, :-1]
        assert ((a != b) & (a > 0) & (b > 0)).sum() > 1000


def test_cells_in_one_place_get_a_pixel_each() -> None:
    conditions = Conditions(2, 30, (40, 40), motion=0.0, appear=0, divide=0, disappear=0)
    frame = next(iter(stream(conditions, 3)))
    place = np.full_like(frame.true.place, 20.0)
    mask = true_mask(frame, paint(conditions, place, frame.looks))
    assert np.array_equal(np.unique(mask)[1:], frame.true.track)


def test_what_finds_no_pixel_at_all_is_refused() -> None:
    conditions = Conditions(2, 40, (4, 4), border="gone", appear=0)
    frame = next(iter(stream(conditions, 0)))
    with pytest.raises(InputError, match="have no room"):
        paint(conditions, frame.true.place, frame.looks)
    with pytest.raises(InputError, match="no whole number of pixels"):
        paint(Conditions(size=(10.5, 10)), frame.true.place, frame.looks)


@pytest.mark.parametrize("conditions", [CROWDED, SPACE])
def test_masks_with_errors_have_the_kinds_that_are_said(conditions: Conditions) -> None:
    """By the package's own rule, which matches pixels and knows nothing of the simulation."""
    rates = CorruptionRates(missed=0.05, merged=0.02, split=0.05, false=0.02)
    agree, total = 0, 0
    for frame in stream(conditions, 4, rates):
        painted = paint(conditions, frame.true.place, frame.looks)
        found = found_mask(conditions, frame, painted)
        match = match_frame(found, true_mask(frame, painted))
        here = np.isin(frame.found.label, match.detection)
        for name in ("false", "merged", "split"):
            said, seen = getattr(frame.found.kinds, name)[here], getattr(match.kinds, name)
            agree, total = agree + int((said == seen).sum()), total + len(seen)
        assert set(match.detection) <= set(frame.found.label)
        assert (~here).sum() <= 0.02 * len(
            here
        ) + 1  # a made-up one under cells, or an end cut from a small one
    assert agree > 0.985 * total


def test_images_show_cells_brighter_than_what_is_between_and_are_the_same_again() -> None:
    frame = next(iter(stream(SPARSE, 5)))
    painted = paint(SPARSE, frame.true.place, frame.looks)
    shown = image(SPARSE, frame, painted, 5)
    assert shown.dtype == np.uint16
    assert shown[painted.owner >= 0].mean() > 3 * shown[painted.owner < 0].mean()
    assert np.array_equal(shown, image(SPARSE, frame, painted, 5))
    assert not np.array_equal(shown, image(SPARSE, frame, painted, 6))


def test_daughters_are_smaller_than_their_mother_and_grow() -> None:
    conditions = Conditions(
        40, 400, (3000.0, 3000.0), divide=0.05, disappear=0, appear=0, diameter_spread=0.0, border="gone"
    )
    newborn, old = [], []
    for frame in stream(conditions, 6):
        newborn.append(frame.looks.diameter[frame.true.age == 0])
        old.append(frame.looks.diameter[frame.true.age > 30])
    assert np.concatenate(newborn) == pytest.approx(12 * np.sqrt(0.5))
    assert np.concatenate(old).min() > 11.5
