"""What the devices of a Trainer score together is what one process scores, to the last bit."""

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from tests.support.drifting_cells import drifting_cells
from tests.support.transformer import small_transformer
from torchtrack_uq import Detections, InputError, Movie, OverlapTracker, TrackastraTracker, UncertainTracker
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import GRAPH_TENSORS
from torchtrack_uq.trackers.shared_out import SharedOut
from torchtrack_uq.training import TrainerCrew
from torchtrack_uq.utils.device import one_torch_thread

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, warnings
warnings.filterwarnings("ignore")
import torch
from tests.training.test_trainer_crew import cells, dressed, refuse_one, tracker, trainer
from torchtrack_uq import InputError
from torchtrack_uq.trackers.shared_out import SharedOut
from torchtrack_uq.training import TrainerCrew

crew = TrainerCrew(trainer("ddp", 2))
shared = SharedOut(tracker(), crew)
found = {n: dressed(shared.candidates(cells(n), progress=False)) for n in (23, 5)}
try:
    list(crew.map(refuse_one, (torch.nn.Linear(1, 1),), [0, 1, 2]))
except InputError as error:
    found["error"] = str(error)
torch.save(found, f"{sys.argv[1]}/{crew.trainer.global_rank}.pt")
"""


def trainer(strategy: str = "auto", devices: int = 1, **options: Any) -> pl.Trainer:
    quiet: Any = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pl.Trainer(accelerator="cpu", strategy=strategy, devices=devices, **quiet, **options)


def tracker() -> TrackastraTracker:
    return TrackastraTracker(small_transformer(), max_gap=2, batch_size=2)


def cells(n_frames: int = 23) -> Detections:
    return drifting_cells(n_frames=n_frames).detections


def dressed(graph: CandidateGraph) -> dict[str, torch.Tensor]:
    return {name: getattr(graph, name).detach() for name in GRAPH_TENSORS}


def alone(n_frames: int = 23) -> dict[str, torch.Tensor]:
    with one_torch_thread(), torch.no_grad():
        return dressed(tracker().candidates(cells(n_frames), progress=False))


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert len(expected["score"]) > 20
    for name, column in expected.items():
        assert torch.equal(found[name], column), name


def shared(crew: TrainerCrew) -> dict[str, torch.Tensor]:
    return dressed(SharedOut(tracker(), crew).candidates(cells(), progress=False))


def test_one_device() -> None:
    crew = TrainerCrew(trainer())
    assert_same(shared(crew), alone())
    assert_same(shared(crew), alone())  # a Trainer may predict again


def test_two_processes_that_lightning_starts_for_a_script(tmp_path: Path) -> None:
    """A movie of five frames has one share, and nothing to do for the second process."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert_same(found[23], alone(23))
        assert_same(found[5], alone(5))
        assert found["error"] == "task 1 is bad"


def test_the_scores_take_gradients_afterwards() -> None:
    """Lightning predicts in inference mode, whose tensors would refuse."""
    graph = SharedOut(tracker(), TrainerCrew(trainer())).candidates(cells(), progress=False)
    factor = torch.ones((), requires_grad=True)
    (graph.score * factor).sum().backward()
    assert factor.grad is not None


def test_a_whole_movie_with_its_probabilities() -> None:
    of = UncertainTracker(tracker(), temperature=1.0)
    found = of.track_detections(cells(), progress=False, crew=TrainerCrew(trainer()))
    with one_torch_thread():
        expected = of.track_detections(cells(), progress=False)
    assert found.links.equals(expected.links)


def test_work_without_a_model_is_done_here() -> None:
    crew = TrainerCrew(trainer(limit_predict_batches=1))
    assert list(crew.map(pow, 2, [1, 3])) == [2, 8]
    assert list(crew.map(refuse_one, (torch.nn.Linear(1, 1),), [])) == []


def test_trackers_without_a_model_are_done_here() -> None:
    masks = np.zeros((4, 20, 20), np.uint8)
    masks[:, 5:9, 5:9] = 1
    crew = TrainerCrew(trainer(limit_predict_batches=1))
    result = UncertainTracker(OverlapTracker(), temperature=1.0).track_movie(
        Movie.open(masks, masks), progress=False, crew=crew
    )
    assert result.links["selected"].sum() == 3


def refuse_one(common: Any, task: int) -> int:
    if task == 1:
        raise InputError(f"task {task} is bad")
    return task


def test_an_error_is_that_of_the_task() -> None:
    model = torch.nn.Linear(1, 1)
    with pytest.raises(InputError, match="task 1 is bad"):
        list(TrainerCrew(trainer()).map(refuse_one, (model,), [0, 1, 2]))


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_strategies_that_hand_back_nothing_are_refused(strategy: str) -> None:
    with pytest.raises(InputError, match=r"hand back no predictions; expected strategy='ddp'"):
        TrainerCrew(trainer(strategy, 2))


@pytest.mark.parametrize("option", [{"limit_predict_batches": 1}, {"fast_dev_run": True}])
def test_a_trainer_that_leaves_work_out_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"did 1 of 3 shares.*limit_predict_batches"):
        list(TrainerCrew(trainer(**option)).map(refuse_one, (torch.nn.Linear(1, 1),), [0, 2, 4]))


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "16-true"])
def test_a_precision_that_converts_the_model_is_refused(precision: str) -> None:
    with pytest.raises(
        InputError, match=f"precision '{precision}', which converts the model.*32-true, 16-mixed"
    ):
        TrainerCrew(trainer(precision=precision))


def _interrupted(common: Any, task: int) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_stays_what_it_is_and_the_model_as_it_was() -> None:
    model = torch.nn.Linear(1, 1)
    with pytest.raises(KeyboardInterrupt):
        list(TrainerCrew(trainer()).map(_interrupted, (model,), [0, 1]))
    assert model.training


def test_what_is_no_trainer_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected a pytorch_lightning.Trainer, got a builtins.str"):
        TrainerCrew("ddp")  # type: ignore[arg-type]
