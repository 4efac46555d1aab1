"""The data module hands out whole movies, each in one split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import tifffile
import torch

from torchtrack_uq.calibration.movie_data import MovieDataModule
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.layers.feature_perturbation import FeaturePerturbation
from torchtrack_uq.links import PerturbedScores
from torchtrack_uq.trackers import DistanceTracker
from torchtrack_uq.truth.judged import judge


@pytest.fixture
def folders(tmp_path: Path, write_ctc: Callable[..., Path]) -> list[Path]:
    """Three sequences of three cells that move by up to two pixels a frame; no images."""
    rng = np.random.default_rng(0)
    paths = []
    for name in ("a", "b", "c"):
        masks = np.zeros((5, 32, 32), np.uint16)
        place = np.array([[8, 8], [8, 22], [22, 14]])
        for mask in masks:
            place = place + rng.integers(-1, 2, place.shape)
            for label, (y, x) in enumerate(place, start=1):
                mask[y : y + 5, x : x + 5] = label
        paths.append(write_ctc(masks, ["1 0 4 0", "2 0 4 0", "3 0 4 0"], tmp_path / name / "01"))
    return paths


def module(layer: UncertaintyLayer | None = None, **splits: Any) -> MovieDataModule:
    tracker = DistanceTracker(search_range=20, scale=2)
    return MovieDataModule(tracker, layer or UncertaintyLayer("SM"), progress=False, **splits)


def test_every_movie_is_one_item(folders: list[Path]) -> None:
    data = module(train=folders[:2], validation=folders[2:], stride=(1, 2))
    data.setup("fit")
    names = [[movie.name for movie in loader] for loader in (data.train_dataloader(), data.val_dataloader())]
    assert names == [["a/01", "b/01", "a/01 stride 2", "b/01 stride 2"], ["c/01", "c/01 stride 2"]]
    first = next(iter(data.train_dataloader()))
    judged = judge(data.layer(first.scores), first.targets)
    assert len(judged) == 12
    assert judged.has_mother.all()
    with pytest.raises(InputError, match="test movies have not been scored"):
        data.test_dataloader()
    data.setup("test")
    assert list(data.test_dataloader()) == []


def test_movies_are_scored_once(folders: list[Path]) -> None:
    data = module(train=folders[:1], validation=folders[1:2])
    data.setup("fit")
    before = data.movies["train"][0]
    data.setup("fit")
    data.setup("validate")
    data.setup(None)
    assert data.movies["train"][0] is before


def test_scores_are_those_that_the_method_needs(folders: list[Path]) -> None:
    noisy = UncertaintyLayer("FP+A", perturbation=FeaturePerturbation(n_copies=3))
    data = module(noisy, train=folders[:1])
    data.setup("fit")
    (movie,) = data.train_dataloader()
    assert isinstance(movie.scores, PerturbedScores)
    elsewhere = torch.device("cpu", 0)  # not equal to "cpu", so everything is moved
    moved = data.transfer_batch_to_device(movie, elsewhere, 0)
    assert moved is not movie
    assert torch.equal(moved.scores.score, movie.scores.score)
    assert torch.equal(moved.judge(noisy).true_log_p, movie.judge(noisy).true_log_p)
    assert data.transfer_batch_to_device(movie, torch.device("cpu"), 0) is movie


class Temperature(pl.LightningModule):
    """Fits a layer movie by movie."""

    def __init__(self, layer: UncertaintyLayer) -> None:
        super().__init__()
        self.layer = layer
        self.seen: list[str] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch.name)
        return -batch.judge(self.layer).true_log_p.mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.seen.append(f"validated {batch.name}")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.layer.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*GPU available but not used.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_lightning_fits_on_it(folders: list[Path], tmp_path: Path) -> None:
    layer = UncertaintyLayer("SM")
    data, model = module(layer, train=folders[:2], validation=folders[2:]), Temperature(layer)
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, default_root_dir=tmp_path,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    assert model.seen == 2 * ["a/01", "b/01", "validated c/01"]
    assert float(layer.temperature.detach()) < 1  # the cells are far apart: every link is right


def test_a_sequence_in_two_splits_is_refused(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders[0].parent)
    with pytest.raises(InputError, match="is a train and a test movie"):
        module(train=folders, test=[folders[0].parent / ".." / "a" / "01"])
    with pytest.raises(InputError, match="twice among the validation movies"):
        module(validation=[folders[0], "01"])
    with pytest.raises(InputError, match="expected a sequence folder"):
        module(train=[folders[0].parent / "02"])


def test_a_movie_without_known_daughters_is_refused(folders: list[Path]) -> None:
    masks = folders[0].with_name("01_GT") / "TRA"
    for file in sorted(masks.glob("*.tif"))[1:]:
        tifffile.imwrite(file, np.zeros((32, 32), np.uint16))
    data = module(train=folders[:1])
    with pytest.raises(InputError, match="has no cell whose mother is known"):
        data.setup("fit")
