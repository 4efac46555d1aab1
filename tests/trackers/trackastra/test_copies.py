from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.transformer import small_transformer
from torchtrack_uq import (
    AssignmentPosterior,
    CandidateGraph,
    Detections,
    FeaturePerturbation,
    Movie,
    NoiseSizes,
    TrackastraTracker,
    UncertaintyLayer,
)
from torchtrack_uq.datasets import read_ctc_sequence
from torchtrack_uq.posterior import map_links


@pytest.mark.parametrize("changes", [{}, {"feat_dim": 0}, {"coord_dim": 3, "feat_dim": 12}])
def test_copies_in_a_batch_equal_copies_one_by_one(
    crop: tuple[Movie, Detections],
    changes: dict[str, int],
) -> None:
    _, cells = crop
    tracker = TrackastraTracker(small_transformer(**changes), max_candidates=5)
    copies = list(FeaturePerturbation(6).copies(cells))
    with torch.no_grad():
        together = tracker.candidates_of_copies(cells, None, copies, progress=False)
        alone = [tracker.candidates(noisy, progress=False) for noisy, _ in copies]
    assert len(together) == 6
    for a, b in zip(together, alone, strict=True):
        assert torch.equal(a.mother, b.mother)
        torch.testing.assert_close(a.score, b.score, atol=1e-4, rtol=1e-4)


def test_without_noise_the_copies_are_the_movie(crop: tuple[Movie, Detections]) -> None:
    movie, cells = crop
    tracker = TrackastraTracker(small_transformer())
    layer = UncertaintyLayer("FP", perturbation=FeaturePerturbation(2, NoiseSizes.none()))
    with torch.no_grad():
        p = layer(layer.scores(tracker, cells, movie, progress=False))
        sm = UncertaintyLayer("SM")(tracker.candidates(cells, progress=False))
    torch.testing.assert_close(p.link, sm.link, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("method", ["AS", "exact", "bp"])
def test_a_loss_on_marginals_reaches_the_weights(
    crop: tuple[Movie, Detections],
    method: str,
) -> None:
    _, cells = crop
    transformer = small_transformer(spatial_pos_cutoff=40)
    graph = TrackastraTracker(transformer, max_candidates=3).candidates(cells, progress=False)
    AssignmentPosterior(method, k=20)(graph).entropy.mean().backward()
    gradients = [weight.grad for weight in transformer.parameters() if weight.grad is not None]
    assert sum(float(g.abs().sum()) for g in gradients) > 0
    assert all(torch.isfinite(g).all() for g in gradients)


def nearest_lineage(cells: Detections) -> torch.Tensor:
    """The lineage of the smallest displacements, which an untrained transformer does not know."""
    distances = torch.cdist(torch.from_numpy(cells.coords), torch.from_numpy(cells.coords))
    truth = torch.full((len(cells),), -1)
    for t in range(1, cells.n_frames):
        mothers, daughters = cells.in_frame(t - 1), cells.in_frame(t)
        nearest, which = distances[mothers, daughters].min(dim=0)
        truth[daughters] = torch.where(nearest < 12, which + mothers.start, -1)
    return truth


def test_the_joint_likelihood_overfits_a_small_transformer_on_a_real_movie(
    crop: tuple[Movie, Detections],
) -> None:
    _, cells = crop
    overfit(cells, nearest_lineage(cells))


def test_the_joint_likelihood_overfits_a_small_transformer_on_an_annotated_movie(data_folder: Path) -> None:
    """Six frames of HeLa cells, 43 in the first, with the mothers and the divisions that people found."""
    whole = read_ctc_sequence(data_folder / "Fluo-N2DL-HeLa" / "01", use_images=False, progress=False)
    movie = whole.frames(0, 6)
    truth = torch.from_numpy(movie.mother.copy())
    assert (torch.bincount(truth[truth >= 0]) == 2).sum() >= 5
    overfit(movie.detections, truth)


def overfit(cells: Detections, truth: torch.Tensor) -> None:
    """Train on the joint log-likelihood of a lineage; the negative log-likelihood of its links falls."""
    transformer = small_transformer(spatial_pos_cutoff=40).train()
    for head in (transformer.head_x, transformer.head_y):
        head.fc2.weight.data.div_(7)
    tracker = TrackastraTracker(transformer, max_candidates=None)
    transformer.train()
    layer = UncertaintyLayer("auto")
    optimiser = torch.optim.Adam([*transformer.parameters(), *layer.parameters()], lr=3e-3)

    def link_nll(graph: CandidateGraph) -> float:
        p = layer(graph)
        true = truth[graph.daughter] == graph.mother
        return -float(p.log_link[true].detach().mean())

    before = None
    for _ in range(30):
        graph = tracker.candidates(cells, progress=False)
        before = link_nll(graph) if before is None else before
        log_p = layer.log_prob(graph, truth)
        assert torch.isfinite(log_p).all()
        loss = -log_p.sum() / len(cells)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    graph = tracker.candidates(cells, progress=False)
    assert before is not None
    assert link_nll(graph) < before / 3
    chosen = map_links(graph)
    true = (truth[graph.daughter] == graph.mother).numpy()
    assert np.mean(chosen[true]) > 0.9
