"""Several movies in one graph are what they are alone, to the last bit."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.support.movies import random_movie, random_targets
from torchtrack_uq import (
    CandidateGraph,
    Detections,
    FrequencyPosterior,
    InputError,
    LinkProbabilities,
    LinkTargets,
    PerturbedScores,
    UncertaintyLayer,
    collate_movies,
    confirm,
    judge,
)
from torchtrack_uq.layers import EventOffsets
from torchtrack_uq.layers.likelihood import daughters_nll, joint_nll
from torchtrack_uq.layers.mean_softmax import MeanScoresSoftmax
from torchtrack_uq.links.names import GRAPH_TENSORS, SCORES
from torchtrack_uq.posterior import map_links

METHODS = ["SM", "AS", "exact", "auto", "bp"]


def movies(dtype: torch.dtype = torch.float64) -> list[CandidateGraph]:
    """Of several sizes: one without cells in its middle, one of a single frame, one without any cell."""
    sizes = [[3, 4, 4], [7], [5, 0, 0, 6], [0, 0], [9, 12, 13, 1], [2, 2]]
    return [random_movie(size, seed=k, dtype=dtype) for k, size in enumerate(sizes)]


def perturbed(graph: CandidateGraph, seed: int) -> PerturbedScores:
    rng = torch.Generator().manual_seed(seed)
    noisy = {
        name: getattr(graph, name) + torch.randn(5, len(getattr(graph, name)), generator=rng).to(graph.dtype)
        for name in SCORES
    }
    noisy["divide"] = torch.minimum(noisy["divide"], -noisy["disappear"])
    return PerturbedScores(graph, **noisy)


def assert_same_graph(a: CandidateGraph, b: CandidateGraph) -> None:
    for name in GRAPH_TENSORS:
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    assert (a.n_frames, a.starts) == (b.n_frames, b.starts)


def assert_same_probabilities(a: LinkProbabilities, b: LinkProbabilities) -> None:
    assert_same_graph(a.graph, b.graph)
    for item in dataclasses.fields(a):
        x, y = getattr(a, item.name), getattr(b, item.name)
        if isinstance(x, torch.Tensor):
            assert torch.equal(x, y), (item.name, x, y)
        elif item.name not in ("graph", "sums"):  # sums of a batch are not told apart
            assert x == y


def test_taken_apart_again_the_movies_are_what_they_were() -> None:
    alone = movies()
    batch = CandidateGraph.batch(alone)
    assert batch.n_movies == 6
    assert batch.starts == (0, 3, 4, 8, 10, 14)
    for part, graph in zip(batch.unbatch(), alone, strict=True):
        assert_same_graph(part, graph)
        dataclasses.replace(part)  # would be refused if it were no graph
        assert part.cell_offsets.tolist() == graph.cell_offsets.tolist()


def test_batches_of_batches_are_batches_of_movies() -> None:
    alone = movies()
    nested = CandidateGraph.batch([CandidateGraph.batch(alone[:2]), *alone[2:]])
    assert_same_graph(nested, CandidateGraph.batch(alone))


def test_first_cells_of_a_movie_are_nobodys_daughters_and_last_ones_nobodys_mothers() -> None:
    alone = movies()
    batch = CandidateGraph.batch(alone)
    assert torch.equal(batch.is_daughter, torch.cat([graph.is_daughter for graph in alone]))
    assert torch.equal(batch.is_mother, torch.cat([graph.is_mother for graph in alone]))
    assert batch.daughter_frames == [1, 2, 5, 6, 7, 9, 11, 12, 13, 15]
    problems = list(batch.problems())
    assert len(problems) == sum(len(list(graph.problems())) for graph in alone)
    with pytest.raises(InputError, match="frame 3 is the first one of a movie"):
        batch.problem(3)


def test_a_link_from_one_movie_to_the_next_is_refused() -> None:
    cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    graph = CandidateGraph.from_links(cells, [0], [1], [0.0])
    with pytest.raises(InputError, match="leads to frame 1, the first one of a movie"):
        dataclasses.replace(graph, starts=(0, 1))


@pytest.mark.parametrize("starts", [(), (1,), (0, 2, 1), (0, 5)])
def test_impossible_first_frames_are_refused(starts: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="movies start at frames"):
        dataclasses.replace(random_movie([2, 2, 2], 0), starts=starts)


def test_only_movies_of_one_kind_make_a_batch() -> None:
    graph = random_movie([2, 2], 0)
    with pytest.raises(InputError, match="there is no movie to batch"):
        CandidateGraph.batch([])
    with pytest.raises(InputError, match=r"movies are of dtypes torch\.float32, torch\.float64"):
        CandidateGraph.batch([graph, graph.to(torch.float32)])
    with pytest.raises(InputError, match=r"movies have \[2, 3\] dimensions"):
        CandidateGraph.batch([graph, dataclasses.replace(graph, coords=torch.zeros(4, 3))])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_batch_the_numbers_of_its_movies_alone(method: str, dtype: torch.dtype) -> None:
    alone = movies(dtype)
    events = EventOffsets(appear=-0.3, disappear=-0.4, divide=-0.2)
    layer = UncertaintyLayer(method, 1.3, k=7 if method == "AS" else 100, events=events)
    batch = CandidateGraph.batch(alone)
    with torch.no_grad():
        for part, graph in zip(layer(batch).unbatch(), alone, strict=True):
            assert_same_probabilities(part, layer(graph))


@pytest.mark.parametrize("module", [MeanScoresSoftmax(), FrequencyPosterior()])
def test_methods_under_noise_give_a_batch_the_numbers_of_its_movies_alone(module: torch.nn.Module) -> None:
    alone = [perturbed(graph, k) for k, graph in enumerate(movies())]
    layer = UncertaintyLayer(module, 0.8)
    batch = PerturbedScores.batch(alone)
    with torch.no_grad():
        for part, scores in zip(layer(batch).unbatch(), alone, strict=True):
            assert_same_probabilities(part, layer(scores))
    for part, scores in zip(batch.unbatch(), alone, strict=True):
        assert all(torch.equal(getattr(part, name), getattr(scores, name)) for name in SCORES)


@pytest.mark.filterwarnings("ignore:method AS bounds log Z")  # of random scores it lists too few
@pytest.mark.parametrize("method", ["AS", "exact", "auto", "bp"])
@pytest.mark.filterwarnings("ignore::torchtrack_uq.posterior.likelihood_bound.LikelihoodBoundWarning")
def test_log_likelihoods_and_their_gradients_are_those_of_the_movies_alone(method: str) -> None:
    alone = movies()
    leaves = [graph.score.clone().requires_grad_() for graph in alone]
    scored = [
        graph.with_scores(leaf, graph.appear, graph.disappear, graph.divide)
        for graph, leaf in zip(alone, leaves, strict=True)
    ]
    batch = CandidateGraph.batch(scored)
    layer = UncertaintyLayer(method, 1.3)
    targets = [random_targets(graph, seed=k) for k, graph in enumerate(alone)]
    mothers = [torch.where(target.known, target.mother, -1) for target in targets]
    both = LinkTargets.batch(
        [dataclasses.replace(t, mother=m) for t, m in zip(targets, mothers, strict=True)]
    )
    log_p = layer.log_prob(batch, both.mother)
    gradient = torch.autograd.grad(log_p[log_p > -torch.inf].sum(), leaves)
    assert not log_p[[start - 1 for start in batch.starts[1:]]].any(), "between movies"
    for part, graph, mother, leaf, found in zip(
        batch.split_problems(log_p), scored, mothers, leaves, gradient, strict=True
    ):
        own = layer.log_prob(graph, mother)
        assert torch.equal(part, own)
        if bool((own > -torch.inf).any()):
            (expected,) = torch.autograd.grad(own[own > -torch.inf].sum(), leaf)
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:method AS bounds log Z")  # of random scores it lists too few
@pytest.mark.parametrize("loss", [joint_nll, daughters_nll])
@pytest.mark.parametrize("method", ["AS", "exact", "bp"])
@pytest.mark.filterwarnings("ignore::torchtrack_uq.posterior.likelihood_bound.LikelihoodBoundWarning")
def test_losses_of_a_batch_are_the_sums_over_its_movies(loss, method: str) -> None:
    alone = movies()
    targets = [random_targets(graph, seed=k) for k, graph in enumerate(alone)]
    layer = UncertaintyLayer(method, 1.3)
    parts = [loss(layer, graph, target) for graph, target in zip(alone, targets, strict=True)]
    whole = loss(layer, CandidateGraph.batch(alone), LinkTargets.batch(targets))
    assert whole.n_daughters == sum(part.n_daughters for part in parts) > 10
    for count in ("n_unreachable", "n_crowded", "n_impossible"):
        assert getattr(whole, count) == sum(getattr(part, count) for part in parts)
    total = sum(float(part.loss.detach()) * part.n_daughters for part in parts)
    rounding = 1e-9 if method == "bp" else 1e-12  # of sweeps that end where nothing changes by more
    assert float(whole.loss.detach()) * whole.n_daughters == pytest.approx(total, rel=rounding)


def test_map_judgement_and_corrections_keep_movies_apart() -> None:
    alone = movies()
    targets = [random_targets(graph, seed=k) for k, graph in enumerate(alone)]
    batch, truth = CandidateGraph.batch(alone), LinkTargets.batch(targets)
    assert map_links(batch).tolist() == np.concatenate([map_links(graph) for graph in alone]).tolist()
    layer = UncertaintyLayer("SM")
    judged = judge(layer(batch), truth)
    own = [judge(layer(graph), target) for graph, target in zip(alone, targets, strict=True)]
    for name in ("true_log_p", "confidence", "correct", "entropy", "brier"):
        assert torch.equal(getattr(judged, name), torch.cat([getattr(part, name) for part in own]))
    first = int(batch.cell_offsets[4])
    with pytest.raises(InputError, match="is in frame 4"):
        confirm(batch, [first], [-1])
    with pytest.raises(InputError, match="mothers are of the frame before"):
        confirm(batch, [first], [first - 1])
    daughter = int(batch.cell_offsets[11])
    confirmed = confirm(batch, [daughter], [int(batch.cell_offsets[10])])
    assert confirmed.starts == batch.starts


def test_targets_are_taken_apart_with_their_graph() -> None:
    alone = movies()
    targets = [random_targets(graph, seed=k) for k, graph in enumerate(alone)]
    for part, own in zip(
        LinkTargets.batch(targets).unbatch(CandidateGraph.batch(alone)), targets, strict=True
    ):
        for name in ("mother", "known", "mother_known"):
            assert torch.equal(getattr(part, name), getattr(own, name))
    with pytest.raises(InputError, match="the graph has 11 cells"):
        LinkTargets.batch(targets).unbatch(alone[0])
    with pytest.raises(InputError, match="no targets to batch"):
        LinkTargets.batch([])


def test_a_loader_collates_movies_with_worker_processes() -> None:
    items = [(graph, random_targets(graph, seed=k)) for k, graph in enumerate(movies())]
    loader = torch.utils.data.DataLoader(items, batch_size=4, collate_fn=collate_movies, num_workers=1)
    sizes = []
    for graph, targets in loader:
        assert len(targets.mother) == graph.n_cells
        sizes.append(graph.n_movies)
    assert sizes == [4, 2]
    assert collate_movies([{"name": "a", "graph": items[0][0]}])["name"] == ["a"]


def test_draws_of_noise_are_as_many_in_all_movies_of_a_batch() -> None:
    graph = random_movie([2, 2], 0)
    one = perturbed(graph, 0)
    with pytest.raises(InputError, match=r"under \[4, 5\] draws"):
        PerturbedScores.batch([one, dataclasses.replace(one, **{n: getattr(one, n)[:4] for n in SCORES})])


def test_a_batch_comes_back_from_networkx_as_a_batch() -> None:
    batch = CandidateGraph.batch(movies())
    again = CandidateGraph.from_networkx(batch.to_networkx(), dtype=batch.dtype)
    assert again.starts == batch.starts
    assert again.n_frames == batch.n_frames


def test_items_that_differ_in_kind_are_refused() -> None:
    graph = movies()[0]
    with pytest.raises(InputError, match="no movie to batch"):
        collate_movies([])
    with pytest.raises(InputError, match="some movies lack truth"):
        collate_movies([{"graph": graph}, {"graph": graph, "truth": 1}])
