"""Links that skip frames: a movie is one assignment problem, held against the enumeration of all its histories."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchtrack_uq import AssignmentPosterior, CandidateGraph, Detections, InputError
from torchtrack_uq.functional.segments import segment_sum
from torchtrack_uq.links.corrections import confirm, forbid
from torchtrack_uq.posterior.map_links import map_links, mothers_of
from torchtrack_uq.posterior.sample_mothers import sample_mothers


def movie(seed: int, n_frames: int, max_gap: int, most: int = 3, density: float = 0.7) -> CandidateGraph:
    """A few cells in each frame, some frames empty, with random links of up to `max_gap` frames."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, most + 1, n_frames)
    frame = np.repeat(np.arange(n_frames), counts)
    cells = Detections.from_points(frame, rng.uniform(0, 9, (len(frame), 2)), n_frames=n_frames)
    gap = frame[None, :] - frame[:, None]
    mother, daughter = np.nonzero((gap >= 1) & (gap <= max_gap) & (rng.random(gap.shape) < density))
    events = {name: rng.normal(-0.7, 1, len(frame)) for name in ("appear", "disappear", "divide")}
    events["divide"] = np.minimum(events["divide"], -events["disappear"])
    score = torch.from_numpy(rng.normal(0, 2, len(mother)))
    return CandidateGraph.from_links(cells, mother, daughter, score, **events, max_gap=max_gap)


def histories(graph: CandidateGraph) -> tuple[np.ndarray, np.ndarray]:
    """Mothers (S, N) and log-weights (S,) of every history of a movie, straight from its definition."""
    frame, last = graph.frame.numpy(), graph.n_frames - 1
    score = dict(
        zip(
            zip(graph.mother.tolist(), graph.daughter.tolist(), strict=True),
            graph.score.tolist(),
            strict=True,
        )
    )
    n = graph.n_cells
    options = [[-1, *[i for i in range(n) if (i, j) in score]] for j in range(n)]
    mothers, weights = [], []
    for chosen in itertools.product(*options):
        load = [chosen.count(i) for i in range(n)]
        if max(load, default=0) > 2:
            continue
        weight = 0.0
        for j, i in enumerate(chosen):
            if i >= 0:
                weight += score[i, j]
            elif frame[j] > 0:
                weight += float(graph.appear[j])
        for i in range(n):
            if frame[i] < last:
                weight += (float(graph.disappear[i]), 0.0, float(graph.divide[i]))[load[i]]
        if weight > -np.inf:
            mothers.append(chosen)
            weights.append(weight)
    return np.array(mothers, np.int64).reshape(len(mothers), n), np.array(weights)


def by_hand(graph: CandidateGraph) -> dict[str, np.ndarray]:
    mothers, weights = histories(graph)
    log_z = np.logaddexp.reduce(weights)
    p = np.exp(weights - log_z)
    link = [
        p[mothers[:, j] == i].sum()
        for i, j in zip(graph.mother.tolist(), graph.daughter.tolist(), strict=True)
    ]
    load = np.stack([(mothers == i).sum(1) for i in range(graph.n_cells)], 1)
    return {
        "link": np.array(link),
        "null": p @ (mothers < 0),
        "disappear": p @ (load == 0),
        "divide": p @ (load == 2),
        "log_z": np.array([log_z]),
    }


FRAMES = [(3, 2), (4, 2), (4, 3), (5, 3), (5, 5)]


@pytest.mark.parametrize(("n_frames", "max_gap"), FRAMES)
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("method", ["exact", "auto"])
def test_probabilities_are_those_of_all_histories(
    seed: int, n_frames: int, max_gap: int, method: str
) -> None:
    graph = movie(seed, n_frames, max_gap, most=2)
    if graph.n_cells == 0:
        return
    found = AssignmentPosterior(method, tolerance=0.0)(graph)
    wanted = by_hand(graph)
    d, m = graph.is_daughter.numpy(), graph.is_mother.numpy()
    np.testing.assert_allclose(found.link, wanted["link"], atol=1e-9)
    np.testing.assert_allclose(found.null[d], wanted["null"][d], atol=1e-9)
    np.testing.assert_allclose(found.disappear[m], wanted["disappear"][m], atol=1e-9)
    np.testing.assert_allclose(found.divide[m], wanted["divide"][m], atol=1e-9)
    assert (found.null[~d] == 1).all()
    assert (found.disappear[~m] == 1).all()
    assert found.log_z is not None
    np.testing.assert_allclose(found.log_z, wanted["log_z"], atol=1e-9)
    over_gap = segment_sum(found.link * (graph.gap > 1), graph.daughter, graph.n_cells)
    np.testing.assert_allclose(found.missed, over_gap)


@pytest.mark.parametrize(("n_frames", "max_gap"), FRAMES)
@pytest.mark.parametrize("seed", range(12))
def test_the_likeliest_history_is_found_and_its_likelihood(seed: int, n_frames: int, max_gap: int) -> None:
    graph = movie(seed, n_frames, max_gap, most=2)
    if graph.n_cells == 0:
        return
    mothers, weights = histories(graph)
    best = mothers_of(graph, map_links(graph))
    at = int((mothers == best).all(1).argmax())
    assert weights[at] == pytest.approx(weights.max(), abs=1e-9)
    log_z = np.logaddexp.reduce(weights)
    for row in {at, len(weights) // 2, len(weights) - 1}:
        found = AssignmentPosterior("exact").log_prob(graph, torch.from_numpy(mothers[row]))
        assert found.shape == (1,)
        assert found.item() == pytest.approx(weights[row] - log_z, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_lists_of_components_are_the_posterior_where_they_are_complete(seed: int) -> None:
    graph = movie(seed, 4, 2, most=2)
    wanted = AssignmentPosterior("exact", tolerance=0.0)(graph)
    listed = AssignmentPosterior("AS", k=100_000)(graph)
    torch.testing.assert_close(listed.link, wanted.link, atol=1e-9, rtol=0)
    torch.testing.assert_close(listed.log_z, wanted.log_z, atol=1e-9, rtol=0)
    short = AssignmentPosterior("AS", k=2)(graph)
    possible = graph.score > -torch.inf
    assert (short.link[possible] > 0).all()
    total = segment_sum(short.link, graph.daughter, graph.n_cells) + short.null
    torch.testing.assert_close(total[graph.is_daughter], torch.ones_like(total[graph.is_daughter]))


@pytest.mark.parametrize("seed", range(8))
def test_gradients_are_those_of_the_sum_over_all_histories(seed: int) -> None:
    graph = movie(seed, 4, 3, most=2)
    scores = [getattr(graph, name) for name in ("score", "appear", "disappear", "divide")]
    mothers, _ = histories(graph)
    of = torch.from_numpy(mothers)
    chosen = of[:, graph.daughter] == graph.mother
    load = torch.stack([(of == i).sum(1) for i in range(graph.n_cells)], 1)
    d, m = graph.is_daughter, graph.is_mother

    def summed(score, appear, disappear, divide) -> torch.Tensor:
        weight = (chosen * score).sum(1) + (((of < 0) & d) * appear).sum(1)
        weight = weight + (((load == 0) & m) * disappear).sum(1) + (((load == 2) & m) * divide).sum(1)
        p = torch.softmax(weight, 0)
        return torch.cat([p @ chosen.double(), (p @ ((of < 0) & d).double()), weight.logsumexp(0)[None]])

    def engine(*values: torch.Tensor) -> torch.Tensor:
        found = AssignmentPosterior("exact", tolerance=0.0)(graph.with_scores(*values))
        assert found.log_z is not None
        return torch.cat([found.link, found.null * d, found.log_z])

    values = [value.clone().requires_grad_() for value in scores]
    direction = torch.from_numpy(np.random.default_rng(seed).normal(size=graph.n_links + graph.n_cells + 1))
    wanted = torch.autograd.grad(summed(*values) @ direction, values)
    found = torch.autograd.grad(engine(*values) @ direction, values)
    for a, b, where in zip(found, wanted, (None, d, m, m), strict=True):
        where = torch.ones_like(a, dtype=torch.bool) if where is None else where
        torch.testing.assert_close(a[where], b[where], atol=1e-9, rtol=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_without_links_over_gaps_the_movie_falls_apart_into_its_frame_pairs(seed: int, n_frames: int) -> None:
    pairs = movie(seed, n_frames, 1)
    if pairs.n_cells == 0:
        return
    scores = {name: getattr(pairs, name) for name in ("score", "appear", "disappear", "divide")}
    whole = CandidateGraph(
        mother=pairs.mother, daughter=pairs.daughter, **scores, frame=pairs.frame, label=pairs.label,
        coords=pairs.coords, n_frames=n_frames, max_gap=2,
    )  # fmt: skip
    exact = AssignmentPosterior("exact", tolerance=0.0)
    apart, together = exact(pairs), exact(whole)
    for name in ("link", "null", "disappear", "divide"):
        torch.testing.assert_close(getattr(together, name), getattr(apart, name), atol=1e-12, rtol=0)
    assert apart.log_z is not None
    torch.testing.assert_close(together.log_z, apart.log_z.sum()[None], atol=1e-10, rtol=0)
    assert (map_links(whole) == map_links(pairs)).all()


@pytest.mark.parametrize(("seed", "max_gap"), [(0, 1), (3, 2), (5, 3), (8, 3)])
def test_draws_are_histories_with_their_probabilities(seed: int, max_gap: int) -> None:
    graph = movie(seed, 4, max_gap, most=2)
    mothers, weights = histories(graph)
    p = np.exp(weights - np.logaddexp.reduce(weights))
    n = 20_000
    drawn = sample_mothers(graph, n, seed=seed).numpy()
    count = {tuple(row): 0 for row in mothers.tolist()}
    for row, times in zip(*np.unique(drawn, axis=0, return_counts=True), strict=True):
        count[tuple(row.tolist())] += int(times)  # a history that is none raises KeyError
    found = np.array([count[tuple(row)] for row in mothers.tolist()]) / n
    assert (np.abs(found - p) < 5 * np.sqrt(p * (1 - p) / n) + 2e-3).all()
    assert (sample_mothers(graph, 5, seed=seed).numpy() == drawn[:5]).all()


@pytest.mark.parametrize(("seed", "max_gap"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 3)])
def test_the_likelihood_of_some_daughters_is_the_share_of_histories_that_agree(
    seed: int, max_gap: int
) -> None:
    graph = movie(seed, 4, max_gap, most=2)
    mothers, weights = histories(graph)
    rng = np.random.default_rng(seed)
    exact = AssignmentPosterior("exact", tolerance=0.0)
    for _ in range(5):
        truth, known = mothers[rng.integers(len(mothers))], rng.random(graph.n_cells) < 0.5
        agrees = (mothers[:, known] == truth[known]).all(1)
        wanted = np.logaddexp.reduce(weights[agrees]) - np.logaddexp.reduce(weights)
        score = graph.score.clone().requires_grad_()
        leaf = graph.with_scores(score, graph.appear, graph.disappear, graph.divide)
        found = exact.log_prob_partial(leaf, torch.from_numpy(truth), torch.from_numpy(known))
        assert found.sum().item() == pytest.approx(wanted, abs=1e-9)
        (gradient,) = torch.autograd.grad(found.sum(), score)
        p, q = np.exp(weights - np.logaddexp.reduce(weights)), np.where(agrees, np.exp(weights), 0)
        chosen = mothers[:, graph.daughter] == graph.mother.numpy()
        np.testing.assert_allclose(gradient, (q / q.sum() - p) @ chosen, atol=1e-9)
    everyone = torch.ones(graph.n_cells, dtype=torch.bool)
    mother = torch.from_numpy(mothers[0])
    whole = exact.log_prob_partial(graph, mother, everyone)
    torch.testing.assert_close(whole, exact.log_prob(graph, mother), atol=1e-9, rtol=0)


def test_what_cannot_be_known_has_no_likelihood() -> None:
    cells = Detections.from_points(np.array([0, 0, 1, 1, 1]), np.zeros((5, 2)))
    graph = CandidateGraph.from_links(cells, [0, 0, 0, 1], [2, 3, 4, 4], np.zeros(4))
    exact, known = AssignmentPosterior("exact"), torch.ones(5, dtype=torch.bool)
    for mother in ([-1, -1, 0, 0, 0], [-1, -1, 1, 0, -1]):  # three daughters; a link that is no candidate
        assert exact.log_prob_partial(graph, torch.tensor(mother), known).item() == -torch.inf
    with pytest.raises(InputError, match="mother names cells 9 to 9"):
        exact.log_prob_partial(graph, torch.full((5,), 9), known)
    with pytest.raises(InputError, match="use method auto"):
        AssignmentPosterior("AS").log_prob_partial(graph, torch.full((5,), -1), known)


def test_movies_of_a_batch_stay_apart() -> None:
    graphs = [movie(seed, n, 2) for seed, n in ((1, 4), (2, 1), (3, 5))]
    batch = CandidateGraph.batch(graphs)
    assert (batch.n_problems, batch.max_gap) == (3, 2)
    for method in ("exact", "auto", "AS", "bp"):
        posterior = AssignmentPosterior(method)
        for found, graph in zip(posterior(batch).unbatch(), graphs, strict=True):
            alone = posterior(graph)
            torch.testing.assert_close(found.link, alone.link)
            torch.testing.assert_close(found.log_z, alone.log_z)
            torch.testing.assert_close(found.null, alone.null)
    assert [g.max_gap for g in batch.unbatch()] == [2, 2, 2]
    with pytest.raises(InputError, match="max_gaps"):
        CandidateGraph.batch([graphs[0], movie(1, 4, 1)])


@pytest.mark.parametrize("seed", range(6))
def test_decisions_condition_the_whole_movie(seed: int) -> None:
    graph = movie(seed, 4, 3, most=2)
    exact = AssignmentPosterior("exact", tolerance=0.0)
    mothers, weights = histories(graph)
    over = (graph.gap > 1).nonzero().squeeze(1).tolist()
    for e in over[:2]:
        i, j = int(graph.mother[e]), int(graph.daughter[e])
        p = np.exp(weights - np.logaddexp.reduce(weights))
        for right, given_graph in (
            (mothers[:, j] == i, confirm(graph, [j], [i])),
            (mothers[:, j] != i, forbid(graph, [j], [i])),
        ):
            wanted = [
                p[right & (mothers[:, b] == a)].sum() / p[right].sum()
                for a, b in zip(graph.mother.tolist(), graph.daughter.tolist(), strict=True)
            ]
            np.testing.assert_allclose(exact(given_graph).link, wanted, atol=1e-9)


def test_what_links_may_not_do_is_said() -> None:
    cells = Detections.from_points(np.array([0, 1, 3]), np.zeros((3, 2)), n_frames=4)
    with pytest.raises(InputError, match="max_gap allows links over more frames"):
        CandidateGraph.from_links(cells, [0], [2], [0.0], max_gap=2)
    with pytest.raises(InputError, match="expected a daughter 1 to 3 frames later"):
        CandidateGraph.from_links(cells, [2], [0], [0.0], max_gap=3)
    for wrong in (0, True, 1.5):
        with pytest.raises(InputError, match="max_gap is"):
            CandidateGraph.from_links(cells, [], [], [], max_gap=wrong)  # type: ignore[arg-type]
    graph = CandidateGraph.from_links(cells, [0], [2], [0.0], max_gap=3)
    with pytest.raises(InputError, match="mothers are of the 3 frames before"):
        confirm(graph, [1], [2])
    with pytest.raises(InputError, match="K best lists are kept for pairs of frames"):
        AssignmentPosterior("AS").support(graph)
    assert CandidateGraph.from_networkx(graph.to_networkx()).max_gap == 3
    assert "gaps to 3" in repr(graph)
