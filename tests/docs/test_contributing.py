"""What CONTRIBUTING says about adding things is all that it takes."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.docs.pages import ROOT, blocks
from tests.test_architecture import ROOMS, imported
from torchtrack_uq.cli import main
from torchtrack_uq.cli.main import build_parser
from torchtrack_uq.datasets.read import FORMATS
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.metrics.registry import METRICS
from torchtrack_uq.results import TrackingResult
from torchtrack_uq.trackers.registry import TRACKERS

PAGE = ROOT / "CONTRIBUTING.md"
EXAMPLES = ("tracker", "method", "metric", "reader")
FILES = dict(
    zip(
        re.findall(r"The file,\s`(torchtrack_uq/\w+/\w+\.py)`", PAGE.read_text()),
        blocks(PAGE, "python")[::2],
        strict=True,
    )
)
"""What the page says that a file of the package holds, by that file."""


@pytest.fixture
def run_example(
    run_page: Callable[[str, str], dict[str, object]], small_example: None
) -> Iterator[Callable[[str], dict[str, object]]]:
    """Runs one of the page's examples alone; what it registers is registered for the length of a test."""

    def run(what: str) -> dict[str, object]:
        first = blocks(PAGE, "python").index(list(FILES.values())[EXAMPLES.index(what)])
        code = "\n".join(blocks(PAGE, "python")[first : first + 2])
        return run_page(code, f"{PAGE}, {what}")

    before = [(registry, set(registry)) for registry in (TRACKERS, METHODS, METRICS)], list(FORMATS)
    try:
        yield run
    finally:
        for registry, names in before[0]:
            for name in set(registry) - names:
                registry.remove(name)
        FORMATS[:] = before[1]


def test_there_is_a_file_and_a_trial_of_each() -> None:
    assert len(FILES) == len(EXAMPLES)
    assert len(blocks(PAGE, "python")) == 2 * len(EXAMPLES)
    assert not [file for file in FILES if (ROOT / file).exists()]


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_as_the_package_wants_it(file: str) -> None:
    for command in (["check", "--no-cache"], ["format", "--no-cache", "--check"]):
        linted = [sys.executable, "-m", "ruff", *command, "--stdin-filename", file, "-"]
        done = subprocess.run(linted, cwd=ROOT, input=FILES[file], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    name = file.removesuffix(".py").replace("/", ".")
    room = ROOMS.index(name.split(".")[1])
    needed = set().union(*(imported(name, node) for node in ast.walk(ast.parse(FILES[file]))))
    assert needed
    assert all(ROOMS.index(module.split(".")[1]) <= room for module in needed)


def test_the_types_of_all_files_are_right(tmp_path: Path) -> None:
    for file, code in FILES.items():
        (tmp_path / Path(file).name).write_text(code)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert f"{len(FILES)} source files" in done.stdout, done.stdout + done.stderr
    assert str(tmp_path) not in done.stdout, done.stdout


def test_a_tracker_is_known_everywhere(run_example: Callable[[str], dict[str, object]]) -> None:
    result = run_example("tracker")["result"]
    assert isinstance(result, TrackingResult)
    assert result.tracker == "size"
    parse = build_parser().parse_args
    assert parse(["track", "-m", "x", "-o", "y", "--tracker", "size"]).tracker == "size"


def test_a_method_is_known_everywhere(run_example: Callable[[str], dict[str, object]]) -> None:
    p = run_example("method")["p"]
    total = torch.zeros(p.graph.n_cells).index_add(0, p.graph.daughter, p.link) + p.null  # type: ignore[attr-defined]
    torch.testing.assert_close(total, torch.ones_like(total))
    torch.testing.assert_close(p.link, torch.tensor([0.9273, 0.0394]), atol=1e-4, rtol=0)  # type: ignore[attr-defined]
    assert p.method == "doubtful"  # type: ignore[attr-defined]
    parse = build_parser().parse_args
    assert parse(["track", "-m", "x", "-o", "y", "--method", "doubtful"]).method == "doubtful"


def test_a_metric_is_known_everywhere(run_example: Callable[[str], dict[str, object]]) -> None:
    from torchtrack_uq.metrics import calibration_metrics, example_daughters, summarise

    run_example("metric")
    assert summarise(example_daughters())["overconfidence"] == pytest.approx(0.25)
    metrics = calibration_metrics(events=False)
    metrics.update(example_daughters())
    assert float(metrics.compute()["overconfidence"]) == pytest.approx(0.25)


def test_a_reader_is_known_everywhere(
    run_example: Callable[[str], dict[str, object]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_example("reader")["movie"].mother.tolist() == [-1, 0, 0]  # type: ignore[attr-defined]
    movie, file = str(tmp_path / "spots_movie"), str(tmp_path / "c.json")
    shared = ["--tracker", "distance", "--method", "SM", "--quiet"]
    assert main(["fit", movie, "-o", file, *shared]) == 0
    assert main(["evaluate", movie, "--temperature", file, *shared]) == 0
    assert "2 daughters (0 whose true mother is no candidate)" in capsys.readouterr().out
    assert main(["fit", movie, f"{movie}/../spots_movie", "-o", file, *shared]) == 2
    assert "are the same sequence" in capsys.readouterr().err


def test_what_was_added_is_gone_again() -> None:
    assert "size" not in TRACKERS
    assert "doubtful" not in METHODS
    assert "overconfidence" not in METRICS
    assert all(one.name != "spots" for one in FORMATS)
