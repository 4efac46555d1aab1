import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from torchtrack_uq.functional import (
    class_entropy,
    independent_events,
    parental_log_softmax,
    top_probability,
)

SCORES = st.one_of(st.floats(-1e4, 1e4), st.just(-float("inf")))


@st.composite
def ragged(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores, daughters and null scores; some daughters have no candidate."""
    n_daughters = draw(st.integers(1, 5))
    daughter = sorted(draw(st.lists(st.integers(0, n_daughters - 1), max_size=12)))
    score = draw(st.lists(SCORES, min_size=len(daughter), max_size=len(daughter)))
    null = draw(st.lists(SCORES, min_size=n_daughters, max_size=n_daughters))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return (
        torch.tensor(score, dtype=dtype),
        torch.tensor(daughter, dtype=torch.int64),
        torch.tensor(null, dtype=dtype),
    )


@given(ragged())
def test_softmax_is_that_of_torch_on_each_daughters_own_classes(case: tuple[torch.Tensor, ...]) -> None:
    score, daughter, null = case
    log_link, log_null = parental_log_softmax(score, daughter, null)
    assert log_link.dtype == score.dtype
    for j in range(len(null)):
        classes = torch.cat([null[j : j + 1], score[daughter == j]])
        if (classes == -torch.inf).all():
            expected = torch.tensor([0.0] + [-torch.inf] * (len(classes) - 1), dtype=score.dtype)
        else:
            expected = classes.log_softmax(0)
        found = torch.cat([log_null[j : j + 1], log_link[daughter == j]])
        torch.testing.assert_close(found.exp(), expected.exp(), atol=1e-6, rtol=1e-5)


@given(ragged())
def test_probabilities_sum_to_one_and_entropy_is_that_of_numpy(case: tuple[torch.Tensor, ...]) -> None:
    score, daughter, null = case
    log_link, log_null = parental_log_softmax(score, daughter, null)
    entropy = class_entropy(log_link, daughter, log_null)
    confidence = top_probability(log_link, daughter, log_null)
    for j in range(len(null)):
        p = torch.cat([log_null[j : j + 1], log_link[daughter == j]]).exp().double().numpy()
        assert p.sum() == pytest.approx(1, abs=1e-5)
        assert float(entropy[j]) == pytest.approx(-(p[p > 0] * np.log(p[p > 0])).sum(), abs=1e-5)
        assert float(confidence[j]) == pytest.approx(p.max(), abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_large_scores_neither_overflow_nor_vanish(dtype: torch.dtype, size: float) -> None:
    score = torch.tensor([size, size - 1, -size], dtype=dtype, requires_grad=True)
    null = torch.tensor([size, 0.0], dtype=dtype)
    log_link, log_null = parental_log_softmax(score, torch.tensor([0, 0, 1]), null)
    torch.testing.assert_close(log_link[0] - log_link[1], torch.tensor(1.0, dtype=dtype))
    class_entropy(log_link, torch.tensor([0, 0, 1]), log_null).sum().backward()
    assert torch.isfinite(score.grad).all()


def test_without_null_class_only_stranded_daughters_have_no_mother() -> None:
    score, daughter = torch.tensor([1.0, 2.0, -torch.inf]), torch.tensor([0, 0, 1])
    log_link, log_null = parental_log_softmax(score, daughter, torch.zeros(3), null_class=False)
    torch.testing.assert_close(log_link[:2], torch.tensor([1.0, 2.0]).log_softmax(0))
    assert log_null.exp().tolist() == [0, 1, 1]


def test_gradients_are_right_also_where_links_are_forbidden_or_absent() -> None:
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(6, dtype=torch.float64, generator=generator, requires_grad=True)
    null = torch.randn(4, dtype=torch.float64, generator=generator, requires_grad=True)
    daughter, mother = torch.tensor([0, 0, 1, 1, 1, 3]), torch.tensor([0, 1, 0, 1, 2, 2])

    def everything(score: torch.Tensor, null: torch.Tensor) -> tuple[torch.Tensor, ...]:
        forbidden = score.masked_fill(torch.tensor([0, 0, 1, 0, 0, 0], dtype=torch.bool), -torch.inf)
        log_link, log_null = parental_log_softmax(forbidden, daughter, null)
        entropy = class_entropy(log_link, daughter, log_null)
        return log_link.exp(), log_null, entropy, *independent_events(log_link.exp(), mother, 4)

    assert gradcheck(everything, (score, null))
