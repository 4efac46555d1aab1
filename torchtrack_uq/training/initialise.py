"""Start a Trackastra model as a soft nearest-centroid linker instead of at random.

A Trackastra model scores mother i and daughter j by a product of two embeddings, A_ij = x_i . y_j. At
random initialisation it must first discover that near cells belong together. But the Fourier encoding of
positions, f = (sin, cos)(omega_k y, omega_k x), already holds a kernel of distance,

    sum_k w_k [cos(omega_k dy) + cos(omega_k dx)] = (W^1/2 f_i) . (W^1/2 f_j),

and a feed-forward block of width 2 d can be exactly linear, since gelu(z) - gelu(-z) = z. So the weights
can be set such that the untrained model scores links by a Gaussian of distance, minus a constant that
stands against the null class; attention heads start out local, and each looks one frame back, ahead, or
stays. Training then begins near the accuracy of nearest-centroid linking.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# Of diameter (pixels), intensity, inertia (pixels squared) and border distance.
_LONGEST_PERIODS = (160.0, 8.0, 4000.0, 4.0)
_FEATURE_PERIOD_RATIO = 64.0  # longest over shortest period of a feature's encoding


@dataclass(frozen=True)
class NearestInitialisation:
    """Constants of the initial distance kernel.

    Attributes:
        width: Standard deviation of the Gaussian, pixels.
        range: Distance at which a link scores as the null class does, pixels.
        sharpness: Score of a link at distance 0 over that of one at `range`.
        shortest_period: Shortest period of the position encoding, pixels.
        residual_scale: Factor on the last layer of every attention and feed-forward block, so that embeddings
            pass through the untrained model almost unchanged.
    """

    width: float = 30.0
    range: float = 50.0
    sharpness: float = 10.0
    shortest_period: float = 12.0
    residual_scale: float = 0.1


@torch.no_grad()
def initialise_as_nearest(model: Any, constants: NearestInitialisation | None = None) -> None:
    """Set the weights of a 2D or 3D `TrackingTransformer` with rotary attention in place.

    Args:
        model: A `trackastra.model.TrackingTransformer`; `d_model` must be at least
            `coord_dim * pos_embed_per_dim + 8`, its positional bias "rope".
        constants: The kernel; defaults suit cells of 15 to 80 pixels.
    """
    constants = constants or NearestInitialisation()
    config = model.config
    n_space = config["coord_dim"] * config["pos_embed_per_dim"]
    n_time = config["pos_embed_per_dim"]
    longest_period = 4.0 * config["spatial_pos_cutoff"]
    _set_frequencies(model, constants.shortest_period, longest_period)
    _pass_positions_through(model.proj, n_time, n_space)
    for layer in [*model.encoder, *model.decoder]:
        layer.attn.proj.weight.mul_(constants.residual_scale)
        layer.mlp.fc2.weight.mul_(constants.residual_scale)
        layer.mlp.fc2.bias.zero_()
        _make_attention_local(layer.attn, config, constants.shortest_period, longest_period)
    _make_heads_a_kernel(model, n_space, constants)


def _set_frequencies(model: Any, shortest: float, longest: float) -> None:
    """Periods of the encodings: positions from `shortest` to `longest`, features over their usual values."""
    for frequency in list(model.pos_embed.freqs)[1:]:
        frequency.copy_(_frequencies(shortest, longest, frequency.shape[-1]))
    if model.config["feat_embed_per_dim"] > 1:
        n_inertia = model.config["feat_dim"] - 3
        diameter, intensity, inertia, border = _LONGEST_PERIODS
        for longest_period, frequency in zip(
            (diameter, intensity, *[inertia] * n_inertia, border), model.feat_embed.freqs, strict=True
        ):
            frequency.copy_(
                _frequencies(longest_period / _FEATURE_PERIOD_RATIO, longest_period, frequency.shape[-1])
            )


def _frequencies(shortest: float, longest: float, n: int) -> Tensor:
    """(1, 1, n): Trackastra encodes sin(pi / 2 x f), which has period 4 / f."""
    return 4 / torch.logspace(math.log10(shortest), math.log10(longest), n).reshape(1, 1, n)


def _pass_positions_through(proj: nn.Linear, n_time: int, n_space: int) -> None:
    """The spatial encoding fills the first dimensions unchanged, everything else the rest at random."""
    n_rest = proj.out_features - n_space
    proj.weight.zero_()
    proj.bias.zero_()
    proj.weight[:n_space, n_time : n_time + n_space] = torch.eye(n_space)
    rest = torch.cat([torch.arange(n_time), torch.arange(n_time + n_space, proj.in_features)])
    block = torch.randn(n_rest, len(rest)) * (0.5 / len(rest) ** 0.5)
    proj.weight[n_space:, rest] = block


def _make_attention_local(attention: Any, config: dict[str, Any], shortest: float, longest: float) -> None:
    """Heads prefer near cells; head h looks -1, 0, +1 frames away, or anywhere, in turn."""
    n_heads, width = config["nhead"], config["d_model"] // config["nhead"]
    frequencies = attention.rot_pos_enc.freqs
    for frequency in list(frequencies)[1:]:
        frequency.copy_(_frequencies(2 * shortest, longest, frequency.shape[-1]))
    n_time = frequencies[0].shape[-1]
    n_pairs = width // 2
    angles = 0.5 * math.pi * frequencies[0].flatten()
    for linear in (attention.q_pro, attention.k_pro):
        linear.weight.mul_(0.5)
        linear.bias.zero_()
    for head in range(n_heads):
        looks, level = (-1.0, 1.0, 0.0, None)[head % 4], 1.5
        query, key = torch.zeros(n_pairs, 2), torch.zeros(n_pairs, 2)
        query[n_time:, 0] = key[n_time:, 0] = level
        if looks is not None:
            key[:n_time, 0] = level
            query[:n_time, 0], query[:n_time, 1] = torch.cos(looks * angles), torch.sin(looks * angles)
            query[:n_time] *= level
        attention.q_pro.bias[head * width : (head + 1) * width] = query.flatten()
        attention.k_pro.bias[head * width : (head + 1) * width] = key.flatten()


def _make_heads_a_kernel(model: Any, n_space: int, constants: NearestInitialisation) -> None:
    """Linear heads whose product falls from `sharpness` at distance 0 to 0 at `range`."""
    d_model = model.config["d_model"]
    omega = 0.5 * math.pi * model.pos_embed.freqs[1].flatten()
    weight = omega * torch.exp(
        -0.5 * (omega * constants.width) ** 2
    )  # log-spaced samples of a Gaussian's density
    weight = weight / weight.sum()
    at_range = float((weight * torch.cos(omega * constants.range)).sum())
    n_dims = model.config["coord_dim"]
    gain = constants.sharpness / (1 - at_range)  # each axis adds its own kernel, of value 1 at distance 0
    per_dimension = torch.cat([weight, weight]).repeat(n_dims).sqrt() * math.sqrt(gain)
    # What enters the heads is layer-normalised; the encoding's share of it had norm sqrt(n_space / 2).
    typical_std = math.sqrt((n_space / 2 + 0.125 * (d_model - n_space)) / d_model)
    offset = gain * (n_dims - 1 + at_range)
    for head, sign in ((model.head_x, 1.0), (model.head_y, -1.0)):
        linear = torch.zeros(d_model, d_model)
        linear[:n_space, :n_space] = torch.diag(per_dimension * typical_std)
        random = torch.randn(d_model - n_space, d_model) * 0.02
        linear[n_space:] = random
        head.fc1.weight.copy_(torch.cat([linear, -linear]))
        head.fc1.bias.zero_()
        head.fc2.weight.copy_(torch.cat([torch.eye(d_model), -torch.eye(d_model)], dim=1))
        head.fc2.bias.zero_()
        head.fc2.bias[-1] = sign * math.sqrt(offset)
