"""What the workers of a cluster hand each other."""

import pickle
from operator import getitem

import numpy as np
import pytest
import torch

from torchtrack_uq import Detections
from torchtrack_uq.trackers.trackastra.models import load_model
from torchtrack_uq.utils.cluster import _opened

protocol = pytest.importorskip("distributed.protocol", reason="a cluster needs the extra dask")


def test_a_model_with_event_heads_scores_alike_after_it_went_from_worker_to_worker() -> None:
    """Whoever lacks it gets it from another worker, by distributed's own protocol."""
    tracker = load_model("small_3d", "cpu")
    assert tracker.event_heads is not None
    content = pickle.dumps((getitem, {"tracker": tracker}))
    message = {"answer": protocol.to_serialize(_opened(content))}
    there = protocol.loads(protocol.dumps(message))["answer"]
    copy = there.work(there.common, "tracker")
    place = np.random.default_rng(0).uniform(0, 50, (24, 3))
    cells = Detections.from_points(np.repeat(np.arange(4), 6), place)
    with torch.no_grad():
        here, found = (one.candidates(cells, progress=False) for one in (tracker, copy))
    assert torch.equal(found.score, here.score)
    assert torch.equal(found.appear, here.appear)
