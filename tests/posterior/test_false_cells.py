"""Probability of neither mother nor daughter, held against the enumeration of all histories of a movie."""

from math import lgamma, log

import numpy as np
import pytest
import torch

from tests.posterior.test_movies_with_gaps import FRAMES, histories, movie
from torchtrack_uq import AssignmentPosterior, CandidateGraph, Detections, InputError, UncertaintyLayer
from torchtrack_uq.assignment import AssignmentProblem, Marginals, marginals
from torchtrack_uq.assignment.joint_none import joint_none
from torchtrack_uq.posterior.false_cells import false_cells


def by_hand(graph: CandidateGraph) -> np.ndarray:
    """(N,) share of the histories in which a cell has neither."""
    mothers, weights = histories(graph)
    p = np.exp(weights - np.logaddexp.reduce(weights))
    load = np.stack([(mothers == i).sum(1) for i in range(graph.n_cells)], 1)
    return p @ ((mothers < 0) & (load == 0))


@pytest.mark.parametrize(("n_frames", "max_gap"), [*FRAMES, (4, 1)])
@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_share_of_all_histories(seed: int, n_frames: int, max_gap: int) -> None:
    graph = movie(seed, n_frames, max_gap, most=2)
    if graph.n_cells == 0:
        return
    p = AssignmentPosterior("exact", tolerance=0.0)(graph)
    found, exact = false_cells(p, graph, tolerance=0.0)
    known = (graph.is_daughter & graph.is_mother).numpy()
    np.testing.assert_allclose(found[known], by_hand(graph)[known], atol=1e-9)
    assert torch.isnan(found[~known]).all()
    assert exact[known].all()
    assert not exact[~known].any()
    near, _ = false_cells(AssignmentPosterior("auto")(graph), graph)
    np.testing.assert_allclose(near[known], found[known], atol=2e-3)


def test_a_link_past_a_cell_makes_both_happen_at_once() -> None:
    cells = Detections.from_points(np.array([0, 1, 2]), np.zeros((3, 2)))
    graph = CandidateGraph.from_links(
        cells, [0, 1, 0], [1, 2, 2], torch.tensor([0.0, 0.0, 6.0], dtype=torch.float64), appear=-3.0,
        disappear=-3.0, divide=-torch.inf, max_gap=2,
    )  # fmt: skip
    p = AssignmentPosterior("exact")(graph)
    found, _ = false_cells(p, graph)
    # through it, past it, one of the two links through it, none
    wanted = (1 + np.exp(-12)) / (1 + 1 + 2 * np.exp(-6) + np.exp(-12))
    np.testing.assert_allclose(found[1], wanted, rtol=1e-9)
    assert found[1] > 1.9 * p.null[1] * p.disappear[1]


def test_movies_of_a_batch_stay_apart() -> None:
    graphs = [movie(seed, n, 2) for seed, n in ((1, 4), (2, 1), (3, 5))]
    batch = CandidateGraph.batch(graphs)
    exact = AssignmentPosterior("exact")
    whole, _ = false_cells(exact(batch), batch)
    alone = torch.cat([false_cells(exact(graph), graph)[0] for graph in graphs])
    torch.testing.assert_close(whole, alone, equal_nan=True)


def test_the_scores_that_count_are_those_at_the_temperature() -> None:
    graph = movie(4, 4, 3, most=2)
    layer = UncertaintyLayer("exact", 2.0)
    found, _ = false_cells(layer(graph), layer.tempered(graph), tolerance=0.0)
    halved = graph.with_scores(graph.score / 2, graph.appear / 2, graph.disappear / 2, graph.divide / 2)
    known = (graph.is_daughter & graph.is_mother).numpy()
    np.testing.assert_allclose(found[known], by_hand(halved)[known], atol=1e-3)


@pytest.mark.parametrize("method", ["SM", "auto"])
def test_methods_without_a_sum_multiply_and_prove_nothing(method: str) -> None:
    graph = movie(5, 4, 2)
    p = UncertaintyLayer(method)(graph)
    found, exact = false_cells(p, graph if method == "SM" else None)
    known = graph.is_daughter & graph.is_mother
    torch.testing.assert_close(found[known], (p.null * p.disappear)[known])
    assert not exact.any()


def crowd(n: int, seed: int) -> CandidateGraph:
    """Four frames whose cells are candidates of their neighbours: one component that is still summed exactly."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(4), n)
    at = np.concatenate([np.arange(n) + rng.normal(0, 0.35, n) for _ in range(4)])
    cells = Detections.from_points(frame, np.stack([at, 0 * at], 1), label=np.tile(np.arange(n), 4))
    gap, off = frame[None, :] - frame[:, None], np.abs(at[:, None] - at[None, :])
    mother, daughter = np.nonzero((gap >= 1) & (gap <= 2) & (off < 1.3))
    score = -4 * off[mother, daughter] ** 2 - 1.5 * (gap[mother, daughter] - 1)
    return CandidateGraph.from_links(
        cells, mother, daughter, torch.from_numpy(score), appear=-1.5, disappear=-1.5, divide=-2.0, max_gap=2
    )


def test_neighbourhoods_are_near_what_the_whole_component_says() -> None:
    graph = crowd(20, 0)
    [problem] = graph.problems()
    found = marginals(problem, method="exact", tolerance=0.0, memory_limit=1 << 30)
    cells = np.arange(20, 60)
    whole = joint_none(problem, found, cells - 20, cells, tolerance=0.0, most_daughters=1000)
    assert whole.whole.all()
    product = found.null[cells - 20] * found.disappear[cells]
    for most, worst in ((30, 1e-6), (20, 1e-4), (10, 1e-3)):
        part = joint_none(problem, found, cells - 20, cells, tolerance=0.0, most_daughters=most)
        assert not part.whole.all()
        assert np.abs(part.probability - whole.probability).max() < worst
    assert np.abs(product - whole.probability).max() > 0.01


@pytest.mark.parametrize(("tolerance", "worst", "share"), [(1e-3, 5e-4, 0.02), (1e-2, 1.2e-2, 0.5)])
def test_weak_links_count_without_being_summed(tolerance: float, worst: float, share: float) -> None:
    """Links below three tolerances enter by their odds: nearer than independence, and not called whole."""
    graph = crowd(20, 1)
    [problem] = graph.problems()
    found = marginals(problem, method="exact", tolerance=0.0, memory_limit=1 << 30)
    cells = np.arange(20, 60)
    whole = joint_none(problem, found, cells - 20, cells, tolerance=0.0, most_daughters=1000).probability
    part = joint_none(problem, found, cells - 20, cells, tolerance)
    asked = (found.null[cells - 20] > 1e-2) & (found.disappear[cells] > 1e-2)
    product = found.null[cells - 20] * found.disappear[cells]
    assert not part.whole[asked].any()
    assert np.abs(part.probability - whole).max() < worst
    assert np.abs(part.probability - whole).mean() < share * np.abs(product - whole).mean()


def log_z_of_alike(n_mothers: int, n_daughters: int, link: float, disappear: float, divide: float) -> float:
    """All mothers are candidates of all daughters, alike: by how many mothers have one daughter, and two."""
    terms = [
        lgamma(n_mothers + 1) - lgamma(one + 1) - lgamma(two + 1) - lgamma(n_mothers - one - two + 1)
        + lgamma(n_daughters + 1) - lgamma(n_daughters - one - 2 * two + 1) - two * log(2)
        + (one + 2 * two) * link + (n_mothers - one - two) * disappear + two * divide
        for two in range(n_mothers + 1)
        for one in range(n_mothers - two + 1)
        if one + 2 * two <= n_daughters
    ]  # fmt: skip
    return float(np.logaddexp.reduce(terms))


@pytest.mark.parametrize("shift", [0.0, 400.0])
@pytest.mark.parametrize(
    ("m", "n", "link", "disappear", "divide"),
    [(100, 160, -3.0, 2.0, -2.5), (100, 100, -4.4, 0.0, -0.1), (120, 80, -4.4, 0.0, -30.0)],
)
def test_many_weak_links_together_leave_probabilities_as_they_are(
    m: int, n: int, link: float, disappear: float, divide: float, shift: float
) -> None:
    """No link is strong, and mothers may have two daughters; what all scores of a mother have in common is free."""

    def log_z(mothers: int, daughters: int) -> float:
        return log_z_of_alike(mothers, daughters, link, disappear, divide)

    null, none = np.exp(log_z(m, n - 1) - log_z(m, n)), np.exp(log_z(m - 1, n) + disappear - log_z(m, n))
    truth = np.exp(log_z(m - 1, n - 1) + disappear - log_z(m, n))
    mother, daughter = np.divmod(np.arange(m * n), n)
    first = np.zeros(m)
    first[m // 2 :] = shift
    problem = AssignmentProblem.build(
        mother,
        daughter,
        link + first[mother],
        m,
        n,
        appear=0.0,
        disappear=disappear + first,
        divide=divide - first,
    )
    found = Marginals(
        np.full(m * n, (1 - null) / m),
        np.full(n, null),
        np.full(m, none),
        np.zeros(0),
        0.0,
        0.0,
        0.0,
        False,
        "",
    )
    both = joint_none(problem, found, np.zeros(2, np.int64), np.array([0, m - 1]), tolerance=2e-3)
    assert found.link[0] < 6e-3
    assert not both.whole.any()
    np.testing.assert_allclose(both.probability, truth, atol=2e-3)


def test_a_mother_that_must_have_a_daughter_leaves_no_nan_around_her() -> None:
    graph = crowd(20, 2)
    must = graph.disappear.clone()
    must[[25, 31]] = -torch.inf
    graph = graph.with_scores(graph.score, graph.appear, must, graph.divide)
    [problem] = graph.problems()
    found = marginals(problem, method="exact", memory_limit=1 << 30)
    cells = np.arange(20, 60)
    part = joint_none(problem, found, cells - 20, cells)
    assert np.isfinite(part.probability).all()
    assert part.probability[[5, 11]].max() == 0.0


@pytest.mark.parametrize("score", [None, -80.0])
@pytest.mark.parametrize("max_gap", [1, 2])
def test_where_no_link_matters_a_cell_is_false_as_its_events_say(score: float | None, max_gap: int) -> None:
    """Cells in one inner frame only, or all too far apart: no daughter belongs to any component."""
    frame = np.array([1, 1]) if score is None else np.array([0, 1, 1, 2])
    cells = Detections.from_points(frame, np.zeros((len(frame), 2)), n_frames=4)
    mother, daughter = ([], []) if score is None else ([0, 1], [1, 3])
    graph = CandidateGraph.from_links(
        cells,
        mother,
        daughter,
        np.full(len(mother), score or 0.0),
        disappear=-0.5,
        divide=-1.0,
        max_gap=max_gap,
    )
    for method in ("exact", "auto"):
        p = AssignmentPosterior(method)(graph)
        found, exact = false_cells(p, graph)
        known = (graph.is_daughter & graph.is_mother).numpy()
        np.testing.assert_allclose(found[known], 1.0, atol=1e-6)
        assert exact[known].all()
        assert known.any()


def test_wrong_pairs_and_graphs_are_refused() -> None:
    graph = crowd(3, 0)
    [problem] = graph.problems()
    found = marginals(problem)
    one = np.array([0])
    with pytest.raises(ValueError, match="a daughter and a mother"):
        joint_none(problem, found, one, np.array([0, 1]))
    with pytest.raises(ValueError, match="daughter must lie in 0"):
        joint_none(problem, found, np.array([-1]), one)
    with pytest.raises(InputError, match="the same links and cells"):
        false_cells(AssignmentPosterior("exact")(graph), movie(4, 4, 2))
