"""Training of link scorers: windows and their augmentation, the daughter-wise loss, Lightning modules."""

from torchtrack_uq.training.augment import Augmentation
from torchtrack_uq.training.batch import collate_windows
from torchtrack_uq.training.loss import candidate_mask, link_nll
from torchtrack_uq.training.module import LinkScorer
from torchtrack_uq.training.sampler import WindowSampler
from torchtrack_uq.training.settings import TrainingSettings
from torchtrack_uq.training.train import add_train_arguments, run_train, train, train_on_movies

__all__ = [
    "Augmentation",
    "LinkScorer",
    "TrainingSettings",
    "WindowSampler",
    "add_train_arguments",
    "candidate_mask",
    "collate_windows",
    "link_nll",
    "run_train",
    "train",
    "train_on_movies",
]
