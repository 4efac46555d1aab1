"""Tensors in, tensors out: every pair's probability, against enumeration."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from torchtrack_uq import InputError, link_marginals, sample_links


def enumerated(
    score: Tensor, appear: Tensor, disappear: Tensor, divide: Tensor, capacity: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Link, null, disappear, divide and log Z of one dense problem by a sum over all assignments; differentiable."""
    m, n = score.shape
    weights, made = [], []
    for parent in itertools.product(range(-1, m), repeat=n):
        load = [parent.count(i) for i in range(m)]
        if max(load, default=0) > capacity:
            continue
        parts = [appear[j] if i < 0 else score[i, j] for j, i in enumerate(parent)]
        parts += [disappear[i] for i in range(m) if load[i] == 0] + [
            divide[i] for i in range(m) if load[i] == 2
        ]
        total = torch.stack(parts).sum() if parts else score.new_zeros(())
        if float(total.detach()) > -torch.inf:
            weights.append(total)
            made.append((parent, load))
    weight = torch.stack(weights)
    log_z = torch.logsumexp(weight, 0)
    p = (weight - log_z).exp()

    def chance(happens: "list[bool]") -> Tensor:
        return p[torch.tensor(happens)].sum()

    link = [[chance([parent[j] == i for parent, _ in made]) for j in range(n)] for i in range(m)]
    return (
        torch.stack([torch.stack(row) for row in link]) if m and n else score.new_zeros(m, n),
        torch.stack([chance([parent[j] < 0 for parent, _ in made]) for j in range(n)])
        if n
        else score.new_zeros(0),
        torch.stack([chance([load[i] == 0 for _, load in made]) for i in range(m)])
        if m
        else score.new_zeros(0),
        torch.stack([chance([load[i] == 2 for _, load in made]) for i in range(m)])
        if m
        else score.new_zeros(0),
        log_z,
    )


def batch(seed: int, b: int, m: int, n: int, forbid: float = 0.2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    score, appear, disappear, divide = (
        torch.randn(*shape, generator=g, dtype=torch.float64) * 2 - shift
        for shape, shift in (((b, m, n), 0), ((b, n), 1), ((b, m), 1), ((b, m), 1))
    )
    forbidden = torch.rand(b, m, n, generator=g) < forbid
    return score.masked_fill(forbidden, -torch.inf), appear, disappear, torch.minimum(divide, -disappear)


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.sampled_from([1, 2]))
def test_all_numbers_are_those_of_enumeration(seed: int, b: int, m: int, n: int, capacity: int) -> None:
    score, appear, disappear, divide = batch(seed, b, m, n)
    found = link_marginals(score, appear, disappear, divide, temperature=0.7, capacity=capacity)
    for k in range(b):
        truth = enumerated(*(x[k] / 0.7 for x in (score, appear, disappear, divide)), capacity)
        for name, want in zip(("link", "null", "disappear", "divide", "log_z"), truth, strict=True):
            torch.testing.assert_close(getattr(found, name)[k], want, atol=1e-9, rtol=0)
    assert bool(found.exact.all())
    assert float(found.error_bound.max()) == float(found.log_z_error.max()) == 0.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("capacity", [1, 2])
def test_gradients_are_those_of_enumeration_also_of_unlikely_truths(seed: int, capacity: int) -> None:
    score, appear, disappear, divide = batch(seed, 1, 3, 3)
    score[0, 0, 0] = -25.0  # a true link of probability e^-25 or so
    ours = [x.clone().requires_grad_() for x in (score, appear, disappear, divide)]
    theirs = [x.clone().requires_grad_() for x in (score, appear, disappear, divide)]
    found = link_marginals(*ours, capacity=capacity)
    truth = enumerated(*(x[0] for x in theirs), capacity)
    for link, null, log_z in ((found.link[0], found.null[0], found.log_z[0]), (truth[0], truth[1], truth[4])):
        loss = -link[0, 0].log() - null[1].log() + (link * torch.arange(9.0).reshape(3, 3)).sum() + log_z
        loss.backward()
    if capacity == 1:  # divisions mean nothing
        assert ours.pop().grad is None
        theirs.pop()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad.nan_to_num(), b.grad.nan_to_num(), atol=1e-8, rtol=1e-8)


def test_the_temperature_has_a_gradient_beside_forbidden_pairs() -> None:
    score, appear, disappear, divide = batch(3, 2, 3, 3)
    t = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(
        lambda t: link_marginals(score, appear, disappear, divide, temperature=t).link,
        (t,),
        eps=1e-5,
        atol=1e-6,
    )


def test_a_second_derivative_is_refused_and_not_zero() -> None:
    score = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(link_marginals(score).link[0, 0], score, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        first.sum().backward()


@pytest.mark.parametrize("method", ["auto", "exact", "bp", "SM"])
def test_sparse_input_gives_the_dense_numbers_and_problems_stay_apart(method: str) -> None:
    score, appear, disappear, divide = batch(5, 2, 3, 4)
    dense = link_marginals(score, appear, disappear, divide, method=method)
    where = (score > -torch.inf).nonzero()
    index = torch.stack([where[:, 0] * 3 + where[:, 1], where[:, 0] * 4 + where[:, 2]])
    sparse = link_marginals(
        score[tuple(where.T)],
        appear.flatten(),
        disappear.flatten(),
        divide.flatten(),
        index=index,
        method=method,
    )
    torch.testing.assert_close(sparse.link, dense.link[tuple(where.T)])
    torch.testing.assert_close(sparse.null, dense.null.flatten())
    torch.testing.assert_close(sparse.divide, dense.divide.flatten())
    if method in ("auto", "exact"):
        torch.testing.assert_close(sparse.log_z, dense.log_z.sum())


def test_a_mask_forbids_as_minus_infinity_does() -> None:
    score, *events = batch(6, 2, 3, 3, forbid=0.0)
    mask = torch.rand(score.shape, generator=torch.Generator().manual_seed(0)) < 0.7
    masked = link_marginals(score, *events, mask=mask)
    torch.testing.assert_close(
        masked.link, link_marginals(score.masked_fill(~mask, -torch.inf), *events).link
    )
    assert float(masked.link[~mask].abs().max()) == 0.0


def test_one_to_one_matching_never_divides_and_sums_to_one() -> None:
    score = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(1))
    found = link_marginals(score, capacity=1)
    assert float(found.divide.max()) == 0.0
    torch.testing.assert_close(found.link.sum(1) + found.null, torch.ones(4, 6))
    torch.testing.assert_close(found.link.sum(2) + found.disappear, torch.ones(4, 5))
    assert found.link.dtype == torch.float32


def test_draws_have_the_marginals_frequencies() -> None:
    score, appear, disappear, divide = batch(8, 2, 3, 4)
    draws = sample_links(score, 4000, appear, disappear, divide, seed=1)
    assert draws.shape == (4000, 2, 4)
    link = torch.stack([(draws == i).double().mean(0) for i in range(3)], dim=1)
    torch.testing.assert_close(link, link_marginals(score, appear, disappear, divide).link, atol=0.05, rtol=0)
    assert torch.equal(draws, sample_links(score, 4000, appear, disappear, divide, seed=1))


@pytest.mark.parametrize(("m", "n"), [(0, 0), (0, 2), (2, 0)])
def test_empty_problems_have_answers(m: int, n: int) -> None:
    found = link_marginals(torch.zeros(2, m, n), appear=-1.0, disappear=-2.0)
    assert found.link.shape == (2, m, n)
    assert float(found.null.sum()) == 2 * n
    torch.testing.assert_close(found.log_z, torch.full((2,), -1.0 * n - 2.0 * m, dtype=torch.float64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"score": torch.zeros(2, 2, dtype=torch.int64)}, "tensor of floats"),
        ({"score": torch.zeros(2)}, "expected .B, M, N."),
        ({"score": torch.zeros(2, 2).half()}, "too few digits"),
        ({"score": torch.full((2, 2), 1e30), "method": "bp"}, "at most 1e.09 in size"),
        (
            {"score": torch.zeros(1, 3), "appear": -torch.inf, "method": "bp"},
            "problem 0 of the batch: .*must have",
        ),
        ({"score": torch.zeros(2), "index": torch.zeros(2, 2, dtype=torch.int64)}, "a pair twice"),
        ({"score": torch.zeros(2, 2).bfloat16()}, "too few digits"),
        ({"score": torch.full((2, 2), torch.nan)}, "NaN or"),
        ({"score": torch.zeros(2, 2), "appear": torch.zeros(3)}, "appear is .3,.; expected what broadcasts"),
        ({"score": torch.zeros(2, 2), "mask": torch.ones(2, 3, dtype=torch.bool)}, "mask is"),
        ({"score": torch.zeros(2, 2), "temperature": -1.0}, "temperature must be"),
        ({"score": torch.zeros(2, 2), "temperature": torch.tensor(float("nan"))}, "temperature must be"),
        ({"score": torch.zeros(2, 2), "capacity": 3}, "capacity must be 1 or 2"),
        ({"score": torch.zeros(2, 2), "method": "AS"}, "expected one of"),
        ({"score": torch.full((1, 2), -torch.inf), "appear": -torch.inf}, "problem 0 of the batch"),
        (
            {"score": torch.zeros(1), "index": torch.tensor([[0], [3]]), "appear": torch.zeros(2)},
            "appear has 2",
        ),
        ({"score": torch.zeros(1), "index": torch.zeros(2, 1)}, "expected .E,. and"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        link_marginals(**arguments)


def test_a_problem_too_ambiguous_for_exact_says_so_and_auto_answers() -> None:
    rng = np.random.default_rng(0)
    score = torch.tensor(rng.normal(size=(1, 60, 60)))
    with pytest.raises(InputError, match="problem 0 of the batch"):
        link_marginals(score, method="exact", memory_limit=1 << 16)
    found = link_marginals(score)
    assert not bool(found.exact)
    torch.testing.assert_close(
        found.link.sum(1) + found.null, torch.ones(1, 60, dtype=torch.float64), atol=1e-6, rtol=0
    )


def test_where_probabilities_are_estimates_their_gradient_is_refused_and_the_joint_one_is_not() -> None:
    rng = np.random.default_rng(0)
    score = torch.tensor(rng.normal(size=(2, 60, 60)), requires_grad=True)
    found = link_marginals(score, memory_limit=1 << 16)
    with pytest.raises(
        InputError, match=r"problem 0 of the batch: .*estimate.*memory_limit.*log_z.*mask.*method bp"
    ) as caught:
        found.link.sum().backward()
    assert "frames" not in str(caught.value)
    link_marginals(score, memory_limit=1 << 16).log_z.sum().backward()
    assert torch.isfinite(score.grad).all()


@pytest.mark.parametrize("method", ["auto", "exact", "bp", "SM"])
def test_a_batch_of_no_problems_has_an_answer(method: str) -> None:
    assert link_marginals(torch.zeros(0, 2, 3), method=method).link.shape == (0, 2, 3)
    assert sample_links(torch.zeros(0, 2, 3), 4).shape == (4, 0, 3)


def test_draws_are_refused_in_one_sentence() -> None:
    for arguments in ({"n": 0}, {"n": 1, "appear": -torch.inf}):
        with pytest.raises(InputError):
            sample_links(torch.full((1, 2), -torch.inf), **arguments)
    with pytest.raises(InputError, match="problem 0 of the batch"):
        sample_links(torch.zeros(200, 200), 1)


def islands(
    k: int, spread: float, diagonal: float, events: tuple[float, ...], seed: int
) -> list[torch.Tensor]:
    """k independent problems of 5 x 5 as one sparse problem: score, index, appear, disappear, divide."""
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 1, (k, 5, 5)) * spread + np.eye(5) * diagonal
    row, column = np.divmod(np.arange(25), 5)
    index = np.stack([(5 * np.arange(k)[:, None] + one).ravel() for one in (row, column)])
    scores = [torch.full((5 * k,), value, dtype=torch.float64) for value in events]
    return [torch.tensor(score.ravel()), torch.tensor(index), *scores]


@pytest.mark.parametrize("k", [40, 90, 300])
@pytest.mark.parametrize("method", ["auto", "exact"])
def test_islands_in_one_problem_are_as_exact_as_problems_of_their_own(k: int, method: str) -> None:
    score, index, *events = islands(k, 1.0, 0.0, (-5.0, -5.0, -4.0), 0)
    together = link_marginals(score, *events, index=index, method=method)
    apart = link_marginals(score.reshape(k, 5, 5), -5.0, -5.0, -4.0, method=method)
    assert bool(together.exact)
    assert together.error_bound == 0
    torch.testing.assert_close(together.link, apart.link.flatten(), atol=1e-9, rtol=0)
    torch.testing.assert_close(together.log_z, apart.log_z.sum(), atol=1e-6, rtol=0)
    assert (together.daughter_error <= together.error_bound).all()


def test_no_candidate_is_impossible_and_each_weight_counts() -> None:
    """True links down to 1e-11 keep a logarithm, and a heavy weight elsewhere does not drown their gradient."""
    score, index, *events = islands(200, 6.0, 5.0, (-15.0, -15.0, -10.0), 3)
    score.requires_grad_()
    found = link_marginals(score, *events, index=index)
    assert (found.link > 0).all()
    rare = int((found.link.detach().log() + 23).abs().argmin())
    likely = int((found.link.detach() - 0.5).abs().argmin())
    loss = -1000.0 * found.link[likely].log() - found.link[rare].log()
    (gradient,) = torch.autograd.grad(loss, score)
    assert gradient[rare].item() == pytest.approx(-1.0, abs=1e-3)


def test_a_row_of_cells_with_five_candidates_each_is_summed_as_it_is() -> None:
    n = 900
    column = np.repeat(np.arange(n), 5)
    row = column + np.tile(np.arange(-2, 3), n)
    inside = (row >= 0) & (row < n)
    score = torch.tensor(np.random.default_rng(0).normal(size=int(inside.sum())))
    index = torch.tensor(np.stack([row[inside], column[inside]]))
    events = [torch.full((n,), value, dtype=torch.float64) for value in (-3.0, -3.0, -2.0)]
    for method in ("auto", "exact"):
        found = link_marginals(score, *events, index=index, method=method)
        assert bool(found.exact)
        assert found.error_bound == 0
