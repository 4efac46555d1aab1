"""What CONTRIBUTING says about adding things is all that it takes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, code_of
from torchtrack_uq.cli.main import build_parser
from torchtrack_uq.datasets.read import FORMATS
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.metrics.registry import METRICS
from torchtrack_uq.results import TrackingResult
from torchtrack_uq.trackers.registry import TRACKERS

PAGE = ROOT / "CONTRIBUTING.md"


@pytest.fixture
def added(
    run_page: Callable[[str, str], dict[str, object]], small_example: None
) -> Iterator[dict[str, object]]:
    """The page's examples, registered for the length of a test."""
    before = [(registry, set(registry)) for registry in (TRACKERS, METHODS, METRICS)], list(FORMATS)
    try:
        yield run_page(code_of(PAGE), str(PAGE))
    finally:
        for registry, names in before[0]:
            for name in set(registry) - names:
                registry.remove(name)
        FORMATS[:] = before[1]


def test_tracker_method_metric_and_reader_are_known_everywhere(
    added: dict[str, object], tmp_path: Path
) -> None:
    import torch

    from torchtrack_uq.metrics import calibration_metrics, example_daughters, summarise

    result = added["result"]
    assert isinstance(result, TrackingResult)
    assert result.tracker == "size"
    parse = build_parser().parse_args
    assert parse(["track", "-m", "x", "-o", "y", "--tracker", "size"]).tracker == "size"
    assert parse(["track", "-m", "x", "-o", "y", "--method", "doubtful"]).method == "doubtful"

    p = added["p"]
    total = torch.zeros(p.graph.n_cells).index_add(0, p.graph.daughter, p.link) + p.null  # type: ignore[attr-defined]
    torch.testing.assert_close(total, torch.ones_like(total))
    assert p.method == "doubtful"  # type: ignore[attr-defined]

    assert summarise(example_daughters())["overconfidence"] == pytest.approx(0.25)
    metrics = calibration_metrics(events=False)
    metrics.update(example_daughters())
    assert float(metrics.compute()["overconfidence"]) == pytest.approx(0.25)

    assert added["movie"].mother.tolist() == [-1, 0, 0]  # type: ignore[attr-defined]
    assert (tmp_path / "spots_movie").is_dir()


def test_what_was_added_is_gone_again() -> None:
    assert "size" not in TRACKERS
    assert "doubtful" not in METHODS
    assert "overconfidence" not in METRICS
    assert all(one.name != "spots" for one in FORMATS)
