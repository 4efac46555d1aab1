"""Training of link scorers: windows and their augmentation, the daughter-wise loss, Lightning modules."""

from torchtrack_uq.training.augment import Augmentation
from torchtrack_uq.training.batch import collate_windows
from torchtrack_uq.training.command import add_train_arguments, run_train
from torchtrack_uq.training.fine_tune import fine_tune, fine_tune_on_movies
from torchtrack_uq.training.fine_tuner import LayerFineTuner
from torchtrack_uq.training.loss import candidate_mask, link_nll
from torchtrack_uq.training.module import LinkScorer
from torchtrack_uq.training.sampler import WindowSampler
from torchtrack_uq.training.settings import FineTuningSettings, TrainingSettings
from torchtrack_uq.training.train import train, train_on_movies
from torchtrack_uq.training.window_graph import window_graph

__all__ = [
    "Augmentation",
    "FineTuningSettings",
    "LayerFineTuner",
    "LinkScorer",
    "TrainingSettings",
    "WindowSampler",
    "add_train_arguments",
    "candidate_mask",
    "collate_windows",
    "fine_tune",
    "fine_tune_on_movies",
    "link_nll",
    "run_train",
    "train",
    "train_on_movies",
    "window_graph",
]
