"""An untrained transformer of Trackastra."""

import torch

from torchtrack_uq.trackers.trackastra.folder import import_trackastra

MODEL = import_trackastra()


def small_transformer(seed: int = 0, **changes: object) -> torch.nn.Module:
    """An untrained transformer whose logits are spread like a trained one's, from about -8 to 8."""
    torch.manual_seed(seed)
    config = {
        "coord_dim": 2,
        "feat_dim": 7,
        "d_model": 32,
        "nhead": 2,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "pos_embed_per_dim": 8,
        "window": 3,
        "spatial_pos_cutoff": 60,
        "attn_positional_bias_n_spatial": 8,
    }
    transformer = MODEL.TrackingTransformer(**{**config, **changes}).eval()
    with torch.no_grad():
        for head in (transformer.head_x, transformer.head_y):
            head.fc2.weight.mul_(7)
    return transformer
