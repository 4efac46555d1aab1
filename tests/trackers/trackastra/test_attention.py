import pytest
import torch

from tests.support.transformer import small_transformer
from torchtrack_uq import Detections, Movie, TrackastraTracker
from torchtrack_uq.trackers.trackastra.attention import has_one_mask, one_attention_mask


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
