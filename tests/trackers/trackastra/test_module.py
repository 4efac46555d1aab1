"""The tracker is a module, and what owns it sees its weights."""

import copy
import pickle

import torch
from torch import nn

from tests.support.transformer import small_transformer
from torchtrack_uq import Detections, Movie, TrackastraTracker, Tracker, UncertaintyLayer


class Owner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tracker = TrackastraTracker(small_transformer())
        self.layer = UncertaintyLayer("SM")


def test_an_owner_sees_the_transformers_weights() -> None:
    owner = Owner()
    names = {name for name, _ in owner.named_parameters()}
    own = {f"tracker.transformer.{name}" for name, _ in owner.tracker.transformer.named_parameters()}
    assert own < names
    assert own < owner.state_dict().keys()
    assert isinstance(owner.tracker, Tracker)


def test_training_mode_reaches_the_transformer() -> None:
    tracker = TrackastraTracker(small_transformer())
    assert not tracker.training
    assert not tracker.transformer.training
    assert tracker.train().transformer.training
    assert not tracker.eval().transformer.training


def test_it_scores_where_its_transformer_is() -> None:
    tracker = TrackastraTracker(small_transformer())
    assert tracker.device.type == "cpu"
    assert tracker.to("meta").device.type == "meta"


def test_copies_and_states_score_alike(crop: tuple[Movie, Detections]) -> None:
    _, cells = crop
    tracker, other = (TrackastraTracker(small_transformer(seed)) for seed in (0, 1))
    other.load_state_dict(tracker.state_dict())
    with torch.no_grad():
        expected = tracker.candidates(cells, progress=False).score
        for same in (other, copy.deepcopy(tracker), pickle.loads(pickle.dumps(tracker))):
            assert same.identity == tracker.identity
            assert torch.equal(same(cells, progress=False).score, expected)
