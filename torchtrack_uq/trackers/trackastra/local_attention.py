"""A Trackastra model on more cells than all pairs of fit into memory: it attends to near cells only anyway.

Cells beyond the model's cutoff have the weight exp(-1000) = 0: without them nothing changes but the order of sums.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from torchtrack_uq.trackers.trackastra.attention import attending, attentions_of, heads_of, mask_of
from torchtrack_uq.trackers.trackastra.tiles import Tile, tiles_of

_FEW_PAIRS = 4
"""So that even the few points of the trial lie in many tiles."""


def has_local_form(transformer: nn.Module) -> bool:
    """Whether `local_embeddings` gives what the model itself gives: tried out on a few tokens in many tiles.

    The model should be in evaluation mode. Models that learn a bias for each layer, and other versions of Trackastra,
    may not.
    """
    config: Any = getattr(transformer, "config", {})
    layers = attentions_of(transformer)
    if not layers or any(getattr(layer, "_mode", None) not in ("rope", "none") for layer in layers):
        return False
    weight = next(transformer.parameters())
    random = torch.Generator().manual_seed(0)
    points = torch.rand(1, 12, 1 + config["coord_dim"], generator=random) * 3 * config["spatial_pos_cutoff"]
    points[..., 0] = 5 + torch.arange(12.0) // 4
    points = points.to(weight)
    features = None
    if config["feat_dim"]:
        features = torch.rand(1, 12, config["feat_dim"], generator=random).to(weight)
    try:
        with torch.no_grad():
            expected = transformer(points, features=features, padding_mask=None)
            x, y = local_embeddings(transformer, points, features, most_pairs=_FEW_PAIRS)
    except (AttributeError, TypeError, ValueError, RuntimeError):  # another version of Trackastra
        return False
    return bool(torch.allclose(x @ y.T, expected[0], rtol=1e-4, atol=1e-4))


def local_embeddings(
    transformer: Any, points: Tensor, features: Tensor | None, most_pairs: int | None = None
) -> tuple[Tensor, Tensor]:
    """What the model makes of every cell as a mother and as a daughter: the logit of a link is their product.

    As `TrackingTransformer.forward` up to that product, in memory that grows with the number of cells and of those in
    the neighbourhood of one, and not with the square of their number.

    Args:
        transformer: The model.
        points: (1, L, 1 + D) time and coordinates.
        features: (1, L, F) or None.
        most_pairs: Of queries and keys that are looked at together.

    Returns:
        (L, E) of mothers and (L, E) of daughters.
    """
    coords = points - points[..., :1].amin(dim=1, keepdim=True)  # of places too, as in Trackastra
    embedded = transformer.pos_embed(coords)
    if features is not None and features.numel():
        embedded = torch.cat((embedded, transformer.feat_embed(features)), dim=-1)
    embedded = transformer.norm(transformer.proj(embedded))
    reach = float(transformer.config["spatial_pos_cutoff"])
    options = {} if most_pairs is None else {"most_pairs": most_pairs}
    tiles = tiles_of(coords[0, :, 1:], coords[0, :, 1:], reach, **options)
    with attending(transformer, partial(_attend, tiles)):
        x = embedded
        for layer in transformer.encoder:
            x = layer(x, coords=coords, padding_mask=None)
        y = embedded
        for layer in transformer.decoder:
            y = layer(y, x, coords=coords, padding_mask=None)
    return transformer.head_x(x)[0], transformer.head_y(y)[0]


def _attend(
    tiles: list[Tile],
    layer: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    coords: Tensor,
    padding_mask: Tensor | None = None,
) -> Tensor:
    """`RelativePositionalAttention.forward`, tile by tile."""
    q, k, v = heads_of(layer, query, key, value, coords)
    dropout = layer.dropout if layer.training else 0.0
    parts = []
    for tile in tiles:
        mask = mask_of(layer, coords[:, tile.queries], coords[:, tile.keys]).to(q.dtype)[:, None]
        its = q[:, :, tile.queries], k[:, :, tile.keys], v[:, :, tile.keys]
        parts.append(nn.functional.scaled_dot_product_attention(*its, attn_mask=mask, dropout_p=dropout))
    order = torch.argsort(torch.cat([tile.queries for tile in tiles]))
    y = torch.cat(parts, dim=2)[:, :, order]
    out: Tensor = layer.proj(y.transpose(1, 2).reshape(*query.shape[:2], -1))
    return out
