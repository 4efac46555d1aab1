import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
import torch

from tests.support.transformer import small_transformer
from torchtrack_uq import Detections, Movie, TrackastraTracker
from torchtrack_uq.trackers.trackastra.attention import has_one_mask, one_attention_mask
from torchtrack_uq.trackers.trackastra.local_attention import local_embeddings


def tokens(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two windows of 30 cells in 4 frames, some farther apart than the model looks, the last five padding."""
    torch.manual_seed(0)
    points = torch.rand(2, 30, 3, dtype=dtype) * 800
    points[..., 0] = torch.arange(30) // 8
    padding = torch.zeros(2, 30, dtype=torch.bool)
    padding[1, 25:] = True
    return points, torch.rand(2, 30, 7, dtype=dtype), padding


@pytest.mark.usefixtures("exact_distances")
@pytest.mark.parametrize("mode", ["rope", "none"])
@pytest.mark.parametrize("nearness", ["v0", "v1"])
@pytest.mark.parametrize("padded", [False, True])
def test_one_mask_gives_what_the_model_gives(mode: str, nearness: str, padded: bool) -> None:
    model = small_transformer(attn_positional_bias=mode, attn_dist_mode=nearness).double()
    assert has_one_mask(model)
    points, features, padding = tokens(torch.float64)
    its = model(points, features, padding if padded else None)
    with one_attention_mask(model):
        ours = model(points, features, padding if padded else None)
    real = ~padding if padded else torch.ones_like(padding)
    pairs = real[:, :, None] & real[:, None]
    torch.testing.assert_close(ours[pairs], its[pairs])
    weights = list(model.parameters())
    for a, b in zip(
        torch.autograd.grad(ours[pairs].sum(), weights, allow_unused=True),
        torch.autograd.grad(its[pairs].sum(), weights, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    assert torch.equal(model(points, features), model(points, features))
    assert not any("forward" in vars(layer) for layer in model.modules())


def test_a_model_with_a_bias_in_every_layer_keeps_its_masks(crop: tuple[Movie, Detections]) -> None:
    model = small_transformer(attn_positional_bias="bias")
    assert not has_one_mask(model)
    assert TrackastraTracker(model).candidates(crop[1], progress=False).n_links > 0


def test_a_model_that_attends_differently_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_transformer()
    attention = type(model.encoder[0].attn)
    original = attention.forward
    monkeypatch.setattr(attention, "forward", lambda self, *args, **more: 2 * original(self, *args, **more))
    assert not has_one_mask(model)


@pytest.mark.parametrize("other", ["the same", "nothing"])
def test_threads_that_share_a_model_leave_each_other_alone(other: str) -> None:
    """Far from the origin, where Trackastra's own distances are not exact and an end must not bring them back."""
    model = small_transformer(attn_positional_bias="rope").eval()
    points, features, _ = tokens()
    points[..., 1:] += 1e5
    begun, may_end = threading.Event(), threading.Event()

    def beside() -> None:
        with one_attention_mask(model) if other == "the same" else nullcontext():
            model(points, features)
            begun.set()
            may_end.wait()

    with torch.no_grad(), one_attention_mask(model):
        alone = model(points, features)
    with torch.no_grad():
        its = model(points, features)
    assert not torch.equal(alone, its)
    with ThreadPoolExecutor(1) as pool, torch.no_grad():
        done = pool.submit(beside)
        begun.wait()
        if other == "the same":  # it is inside, but this thread is not
            assert torch.equal(model(points, features), its)
        with one_attention_mask(model):
            may_end.set()
            done.result()
            assert torch.equal(model(points, features), alone)
    assert not any("forward" in vars(layer) for layer in model.modules())


def test_threads_attend_by_tiles_of_their_own_cells() -> None:
    model = small_transformer(attn_positional_bias="rope").eval()
    points, features, _ = tokens()
    cases = [(points[:1], features[:1]), (points[1:, :17], features[1:, :17])] * 20
    with torch.no_grad():
        alone = [local_embeddings(model, *case, most_pairs=40)[0] for case in cases[:2]]

        def embed(case: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            with torch.no_grad():
                return local_embeddings(model, *case, most_pairs=40)[0]

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(embed, cases))
    assert all(torch.equal(one, alone[k % 2]) for k, one in enumerate(found))
