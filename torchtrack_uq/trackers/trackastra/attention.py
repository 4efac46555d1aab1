"""Run a Trackastra model with one attention mask for all layers and heads, which it computes again in each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock, get_ident
from typing import Any

import torch
from torch import Tensor, nn

from torchtrack_uq.trackers.trackastra.places import distances

Attend = Callable[..., Tensor]
_IGNORE = -1e3  # as in Trackastra
_changing = Lock()
"""Held while layers get another forward, or lose it."""


def has_one_mask(transformer: nn.Module) -> bool:
    """Whether `one_attention_mask` gives what the model itself gives: tried out on a few tokens.

    The model should be in evaluation mode. Models that learn a bias for each layer (`attn_positional_bias: bias`)
    have several masks, and another version of Trackastra may attend differently.
    """
    config: Any = getattr(transformer, "config", {})
    layers = attentions_of(transformer)
    if not layers or any(getattr(layer, "_mode", None) not in ("rope", "none") for layer in layers):
        return False
    weight = next(transformer.parameters())
    random = torch.Generator().manual_seed(0)
    points = torch.rand(2, 5, 1 + config["coord_dim"], generator=random) * 2 * config["spatial_pos_cutoff"]
    points[..., 0] = torch.arange(5.0)
    features = torch.rand(2, 5, config["feat_dim"], generator=random) if config["feat_dim"] else None
    points, features = (None if x is None else x.to(weight) for x in (points, features))
    padding = torch.tensor([[False] * 5, [False] * 4 + [True]], device=weight.device)
    try:
        with torch.no_grad():
            expected = transformer(points, features=features, padding_mask=padding)
            with one_attention_mask(transformer):
                found = transformer(points, features=features, padding_mask=padding)
    except (AttributeError, TypeError, ValueError, RuntimeError):  # another version of Trackastra
        return False
    return bool(torch.allclose(found, expected, rtol=1e-4, atol=1e-4))


class _ByThread:
    """The forward of a layer: what the thread that calls it asked for, or as it is where that asked for nothing."""

    def __init__(self, layer: Any, attend: dict[int, Attend]) -> None:
        self.layer, self.attend = layer, attend

    def __call__(self, *given: Any, **named: Any) -> Tensor:
        attend = self.attend.get(get_ident())
        if attend is None:
            attend = type(self.layer).forward
        return attend(self.layer, *given, **named)


@contextmanager
def attending(transformer: nn.Module, attend: Attend) -> Iterator[None]:
    """Within it, the model's layers of attention do `attend(layer, ...)` instead of their own forward.

    That holds for the calling thread: others may use the model at the same time, each in its own way, and who is done
    leaves the others theirs.
    """
    layers, own = attentions_of(transformer), get_ident()
    if not layers:
        yield
        return
    with _changing:
        now = vars(layers[0]).get("forward")
        by_thread = now.attend if isinstance(now, _ByThread) else {}
        before = by_thread.get(own)
        by_thread[own] = attend
        if not isinstance(now, _ByThread):
            for layer in layers:
                layer.forward = _ByThread(layer, by_thread)
    try:
        yield
    finally:
        with _changing:
            if before is None:
                del by_thread[own]
            else:
                by_thread[own] = before
            if not by_thread:
                for layer in layers:
                    vars(layer).pop("forward", None)


@contextmanager
def one_attention_mask(transformer: nn.Module) -> Iterator[None]:
    """Within it, one forward pass of the model computes its attention mask once instead of in every layer.

    The mask depends on the coordinates only; it is the same for all layers, and for all heads, so it is (B, 1, L, L)
    instead of (B, H, L, L).
    """
    masks: list[tuple[Tensor, Tensor]] = []
    with attending(transformer, partial(_attend, masks)):
        yield


def attentions_of(transformer: nn.Module) -> list[Any]:
    """Its layers of attention."""
    return [layer for layer in transformer.modules() if type(layer).__name__ == "RelativePositionalAttention"]


def _attend(
    masks: list[tuple[Tensor, Tensor]],
    layer: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    coords: Tensor,
    padding_mask: Tensor | None = None,
) -> Tensor:
    """`trackastra.model.model_parts.RelativePositionalAttention.forward` with a mask that is made once."""
    n_batch, n_tokens, _ = query.shape
    q, k, v = heads_of(layer, query, key, value, coords)
    mask = next((mask for its_coords, mask in masks if its_coords is coords), None)
    if mask is None:
        mask = mask_of(layer, coords, coords)
        if padding_mask is not None:
            mask = mask.masked_fill(padding_mask[:, None] | padding_mask[:, :, None], _IGNORE)
        mask = mask[:, None].to(q.dtype)
        masks.append((coords, mask))
    dropout = layer.dropout if layer.training else 0.0
    y = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
    out: Tensor = layer.proj(y.transpose(1, 2).reshape(n_batch, n_tokens, -1))
    return out


def heads_of(
    layer: Any, query: Tensor, key: Tensor, value: Tensor, coords: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(B, H, L, C) queries, keys and values of each head, turned by their places."""

    def heads(x: Tensor) -> Tensor:
        return x.view(*query.shape[:2], layer.n_head, -1).transpose(1, 2)

    q, k, v = heads(layer.q_pro(query)), heads(layer.k_pro(key)), heads(layer.v_pro(value))
    if layer._mode == "rope":
        q, k = layer.rot_pos_enc(q, k, coords)
    return q, k, v


def mask_of(layer: Any, queries: Tensor, keys: Tensor) -> Tensor:
    """(B, Q, K) what is added to the products of queries and keys, of their times and coordinates."""
    distance = distances(queries[..., 1:], keys[..., 1:])
    if layer.attn_dist_mode == "v0":
        nearness = torch.exp(-0.1 * distances(queries, keys))
    elif layer.attn_dist_mode == "v1":
        nearness = torch.exp(-5 * distance / layer.cutoff_spatial)
    else:
        raise ValueError(f"Unknown attn_dist_mode {layer.attn_dist_mode}")
    return torch.where(distance > layer.cutoff_spatial, _IGNORE + nearness, nearness)
