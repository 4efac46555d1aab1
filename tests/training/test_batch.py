import numpy as np
import pytest
import torch

from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.training import LinkScorer, TrainingSettings, WindowSampler, collate_windows
from torchtrack_uq.training.batch import _spread_out
from torchtrack_uq.training.module import build_model


def test_a_batch_is_padded_as_trackastra_pads(movies: list[AnnotatedMovie]) -> None:
    from trackastra.data.data import collate_sequence_padding

    sampler = WindowSampler(movies)
    windows = [sampler[i] for i in range(4)]
    batch = collate_windows(windows)
    theirs = collate_sequence_padding(
        [
            {
                "coords": torch.from_numpy(w.coords),
                "features": torch.from_numpy(w.features),
                "timepoints": torch.from_numpy(w.frame),
            }
            for w in windows
        ]
    )
    assert torch.equal(batch["coords"][..., 1:], theirs["coords"])
    for name in ("features", "timepoints", "padding_mask"):
        assert torch.equal(batch[name], theirs[name])
    assert batch["weight"].sum(dim=1).tolist() == pytest.approx([1.0] * 4)


def test_windows_that_share_a_row_do_not_see_each_other(movies: list[AnnotatedMovie]) -> None:
    settings = TrainingSettings(d_model=72, n_layers=1, spatial_cutoff=256)
    scorer = LinkScorer(build_model(settings), settings).eval()
    sampler = WindowSampler(movies, strides={1: 1.0, 3: 1.0})
    windows = [sampler[i] for i in range(6)]
    windows = [w.subset(np.arange(min(len(w), 16 + 4 * i))) for i, w in enumerate(windows)]
    packed = collate_windows(windows, pack_apart=300.0)
    assert len(packed["coords"]) < len(windows)
    with torch.no_grad():
        separate = torch.zeros(())
        for w, shifted in zip(windows, _spread_out(windows, 300.0), strict=True):
            assert np.array_equal(w.mother, shifted.mother)
            separate = separate + scorer.loss(collate_windows([shifted])) / len(windows)
        assert torch.allclose(scorer.loss(packed), separate, atol=1e-5)
