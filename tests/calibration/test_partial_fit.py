"""Fits of event scores from some daughters and rejected links: the likelihood of what is known, and of nothing else."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp

from tests.support.brute_force import all_assignments
from tests.support.problems import tiny_problems
from tests.support.simulated import EVENTS, simulated_movie
from torchtrack_uq import AssignmentPosterior, CandidateGraph, EventOffsets, InputError, UncertaintyLayer
from torchtrack_uq.assignment import AssignmentProblem
from torchtrack_uq.calibration import ScoredMovie, fit_events
from torchtrack_uq.calibration.event_objective import EventObjective
from torchtrack_uq.calibration.gaussian_prior import GaussianPrior
from torchtrack_uq.truth.targets import LinkTargets

NO_PRIOR = GaussianPrior.around_zero({})


def changed(problem: AssignmentProblem, values: np.ndarray) -> AssignmentProblem:
    """The problem at log T and offsets of appear, disappear and divide."""
    t = math.exp(values[0])
    disappear = problem.disappear / t + values[2]
    divide = np.minimum(problem.divide / t + values[3], np.where(problem.divide <= 0, -disappear, np.inf))
    return AssignmentProblem(
        problem.mother, problem.daughter, problem.score / t, problem.appear / t + values[1], disappear, divide
    )


def brute_force(
    problem: AssignmentProblem, mother: np.ndarray, rejected: np.ndarray, values: np.ndarray
) -> float:
    """log-probability of the known mothers (-2 for unknown) and of no rejected link being there."""
    parents, weights = all_assignments(changed(problem, values))
    agrees = ((parents == mother) | (mother < -1)).all(1)
    for m, d in zip(problem.mother[rejected], problem.daughter[rejected], strict=True):
        agrees &= parents[:, d] != m
    return float(logsumexp(weights[agrees]) - logsumexp(weights)) if agrees.any() else -math.inf


def movie_of(problem: AssignmentProblem, mother: np.ndarray, rejected: np.ndarray) -> ScoredMovie:
    graph = CandidateGraph.from_problem(problem)
    n = problem.n_mothers
    targets = LinkTargets(
        torch.cat([torch.full((n,), -1), torch.from_numpy(mother.clip(min=-1))]),
        torch.cat([torch.zeros(n, dtype=torch.bool), torch.from_numpy(mother >= -1)]),
        torch.zeros(graph.n_cells, dtype=torch.bool),
        torch.from_numpy(np.stack([problem.mother[rejected], n + problem.daughter[rejected]], 1)),
    )
    return ScoredMovie("tiny", graph, targets)


@settings(deadline=None)
@given(tiny_problems(), st.data())
def test_the_likelihood_is_that_of_enumeration(problem: AssignmentProblem, data: st.DataObject) -> None:
    parents, _ = all_assignments(problem)
    if not (len(parents) and problem.n_daughters):
        return
    truth = parents[data.draw(st.integers(0, len(parents) - 1))]
    known = data.draw(st.lists(st.booleans(), min_size=len(truth), max_size=len(truth)).map(np.array))
    mother = np.where(known, truth, -2)
    open_links = ~known[problem.daughter] & (truth[problem.daughter] != problem.mother)
    rejected = open_links & np.array(
        data.draw(st.lists(st.booleans(), min_size=len(open_links), max_size=len(open_links))), bool
    )
    if not known.any():
        return
    values = np.array(data.draw(st.tuples(*[st.floats(-1, 1)] * 4)))
    layer = UncertaintyLayer("exact", events=EventOffsets())
    objective = EventObjective(layer, [movie_of(problem, mother, rejected)], NO_PRIOR)
    objective.set(values.tolist())
    found = float(objective.log_likelihood().detach()) * objective.n_daughters
    assert found == pytest.approx(brute_force(problem, mother, rejected, values), abs=1e-6)


def test_the_fit_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    problems, mothers, rejections, movies = [], [], [], []
    for _ in range(12):
        mother, daughter = np.divmod(np.arange(6), 3)
        problem = AssignmentProblem.build(mother, daughter, rng.normal(0, 2, 6), 2, 3, **EVENTS)
        parents, weights = all_assignments(problem)
        truth = parents[rng.choice(len(parents), p=np.exp(weights - logsumexp(weights)))]
        known = np.array([True, rng.random() < 0.5, False])
        rejected = ~known[daughter] & (truth[daughter] != mother) & (rng.random(6) < 0.5)
        problems.append(problem), mothers.append(np.where(known, truth, -2)), rejections.append(rejected)
        movies.append(movie_of(problem, mothers[-1], rejected))
    prior = GaussianPrior(
        ("log_temperature", "appear", "disappear", "divide"),
        np.array([0.3, -0.5, 0.0, -1.0]),
        np.diag([0.3, 1.0, 2.0, 1.5]) + 0.1,
    )
    layer = UncertaintyLayer("auto", events=EventOffsets())
    found = fit_events(layer, movies, prior=prior, max_steps=200)

    def loss(values: np.ndarray) -> float:
        away = values - prior.mean
        terms = zip(problems, mothers, rejections, strict=True)
        return away @ np.linalg.solve(prior.covariance, away) / 2 - sum(
            brute_force(*term, values) for term in terms
        )

    best = minimize(
        loss, prior.mean, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 10000}
    )
    mine = np.array([math.log(found.temperature), *found.offsets.values()])
    assert loss(mine) <= best.fun + 1e-6
    np.testing.assert_allclose(mine, best.x, atol=2e-3)


def test_all_daughters_known_is_the_complete_fit() -> None:
    """By the sum of what is known, also where everything is."""
    movie = simulated_movie(60, 3)
    graph, mother = movie.graph, movie.targets.mother
    posterior = AssignmentPosterior("exact")
    known = torch.ones(graph.n_cells, dtype=torch.bool)
    nothing = torch.zeros(graph.n_links, dtype=torch.bool)
    torch.testing.assert_close(
        posterior.log_prob_partial(graph, mother, known, nothing),
        posterior.log_prob(graph, mother),
        atol=1e-9,
        rtol=0,
    )


def test_an_unknown_daughter_does_not_cost_the_others_of_her_frame_pair() -> None:
    movie = simulated_movie(200, 4)
    keep = torch.ones(movie.graph.n_cells, dtype=torch.bool)
    keep[movie.targets.known.nonzero()[0]] = False
    layer = UncertaintyLayer("auto", events=EventOffsets())
    found = fit_events(layer, [movie.only(keep)], prior=GaussianPrior.around_zero({"log_temperature": 0.5}))
    assert found.n_daughters == 599


def test_rejections_alone_say_something_but_are_no_daughters() -> None:
    movie = simulated_movie(2, 5)
    graph = movie.graph
    targets = replace(
        movie.targets,
        known=torch.zeros_like(movie.targets.known),
        mother_known=torch.zeros_like(movie.targets.known),
        rejected=torch.stack([graph.mother, graph.daughter], 1)[:1],
    )
    layer = UncertaintyLayer("auto", events=EventOffsets())
    with pytest.raises(InputError, match="no daughter is annotated"):
        fit_events(layer, [replace(movie, targets=targets)])


def test_rejections_that_leave_no_option_are_not_believed() -> None:
    """They contradict that every daughter has a mother or none; the others of the movie still count."""
    movie = simulated_movie(20, 6)
    graph = movie.graph
    appear = graph.appear.clone()
    stuck = int(graph.daughter[0])
    appear[stuck] = -torch.inf
    mine = graph.daughter == stuck
    known = movie.targets.known.clone()
    known[stuck] = False
    targets = replace(
        movie.targets,
        known=known,
        mother_known=torch.zeros_like(known),
        rejected=torch.stack([graph.mother, graph.daughter], 1)[mine],
    )
    layer = UncertaintyLayer("auto", events=EventOffsets())
    found = fit_events(layer, [replace(movie, scores=replace(graph, appear=appear), targets=targets)])
    assert found.n_daughters == 59
    assert found.log_likelihood_after > found.log_likelihood_before


def test_rejected_links_are_checked_batched_and_taken_apart() -> None:
    targets = LinkTargets.from_mothers(torch.tensor([-1, 0]), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="expected \\(R, 2\\)"):
        replace(targets, rejected=torch.zeros(3, dtype=torch.int64))
    with pytest.raises(InputError, match="name cells 0 to 2"):
        replace(targets, rejected=torch.tensor([[0, 2]]))
    movie = simulated_movie(2, 7)
    pairs = torch.stack([movie.graph.mother, movie.graph.daughter], 1)[2:4]
    some = replace(movie.targets, rejected=pairs)
    graphs = CandidateGraph.batch([movie.graph, movie.graph])
    batch = LinkTargets.batch([movie.targets, some])
    assert batch.rejected_links(graphs).sum() == 2 + movie.targets.rejected_links(
        movie.graph
    ).sum() * 2 - int(movie.targets.rejected_links(movie.graph)[2:4].sum())
    first, second = batch.unbatch(graphs)
    assert len(first.rejected) == 0
    assert second.rejected.tolist() == pairs.tolist()
    assert len(second.only(torch.zeros(movie.graph.n_cells, dtype=torch.bool)).rejected) == 0


def test_intervals_cover_and_narrow_with_annotation() -> None:
    """Of movies drawn from the model, with parameters drawn from the prior: what the certainty says holds."""
    names = ("log_temperature", "appear", "disappear", "divide")
    prior = GaussianPrior(names, np.zeros(4), np.diag([0.16, 1.0, 1.0, 1.0]))
    rng, inside, widths = np.random.default_rng(8), np.zeros(3), []
    n_movies = 40
    for seed in range(n_movies):
        drawn = rng.multivariate_normal(prior.mean, prior.covariance)
        drawn[3] = min(drawn[3], -EVENTS["divide"] - EVENTS["disappear"] - drawn[2])
        events = {name: EVENTS[name] + x for name, x in zip(EVENTS, drawn[1:], strict=True)}
        movie = simulated_movie(40, seed, scale=math.exp(drawn[0]), events=events)
        layer = UncertaintyLayer("exact", events=EventOffsets())
        found = fit_events(layer, [movie], prior=prior).certainty
        # what T and the offsets mean to the scores that were handed out, which are T times those of the truth
        value = {
            "log_temperature": drawn[0],
            "appear + disappear": drawn[1] + drawn[2],
            "disappear + divide": drawn[2] + drawn[3],
        }
        for k, combined in enumerate(((0,), (1, 2), (2, 3))):
            w = np.isin(np.arange(4), combined).astype(float)
            away = abs(w @ found.value - list(value.values())[k])
            inside[k] += away < 1.2816 * math.sqrt(w @ found.covariance @ w)
        widths.append(found.standard_errors["log_temperature"])
        assert found.expected_excess(10) > found.expected_excess(100) > found.expected_excess(1000) > 0
    assert max(widths) < 0.4
    # 80 % intervals; 40 movies: at least 25 (binomial, one in 1,000)
    assert (inside >= 25).all(), inside


def test_what_nothing_depends_on_costs_nothing() -> None:
    """Without prior, one direction of the offsets stays open; K - 1 others cost half a nat each over n daughters."""
    movie = simulated_movie(60, 5)
    layer = UncertaintyLayer("exact", events=EventOffsets())
    found = fit_events(layer, [movie], prior_width=None, offset_width=None).certainty
    assert found.standard_errors["appear"] == math.inf
    for n in (1, 50, 10_000):
        assert found.expected_excess(n) == pytest.approx(3 / (2 * n), rel=1e-3)
    assert found.expected_excess(0) == math.inf
