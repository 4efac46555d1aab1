import pytest

from tests.support.drifting_cells import drifting_cells
from torchtrack_uq.datasets import AnnotatedMovie


@pytest.fixture
def movie() -> AnnotatedMovie:
    return drifting_cells()


@pytest.fixture
def movies() -> list[AnnotatedMovie]:
    return [drifting_cells(seed=1), drifting_cells(n_cells=9, n_frames=10, seed=2, has_images=False)]
