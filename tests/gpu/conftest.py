"""All that needs a CUDA GPU; skipped where there is none. Run these on a machine with one before a release."""

from pathlib import Path

import pytest
import torch

from benchmarks.gpu import MODEL

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA GPU, and this machine has none")
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(skip)


@pytest.fixture
def full_size_model() -> torch.nn.Module:
    """A transformer of the size of the published models, untrained."""
    # trackastra is not needed to collect these tests
    transformer = pytest.importorskip("tests.support.transformer")
    model: torch.nn.Module = transformer.small_transformer(**MODEL)
    return model
