"""Attention of open_clip's own image transformers as linear layers, which LoRA can change.

torch.nn.MultiheadAttention keeps q, k and v in one bare parameter and never calls its output projection as a module, so
an update of either would be passed over. These are the same products.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SplitAttention(nn.Module):
    """Self-attention [n, tokens, width] to the same shape. qkv: q, k and v are thirds of the output, in this order."""

    def __init__(self, whole: nn.MultiheadAttention) -> None:
        super().__init__()
        width = whole.embed_dim
        self.heads = whole.num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.qkv.load_state_dict({"weight": whole.in_proj_weight, "bias": whole.in_proj_bias})
        self.out_proj.load_state_dict(whole.out_proj.state_dict())

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, *, need_weights: bool, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """As MultiheadAttention with batch_first; key and value must be the query, and weights are not given."""
        assert key is query and value is query and not need_weights, "an image tower looks at itself alone"
        shape = (*query.shape[:2], 3, self.heads, query.shape[2] // self.heads)
        q, k, v = self.qkv(query).reshape(shape).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        return self.out_proj(found.transpose(1, 2).reshape(query.shape)), None


def split_attention(network: nn.Module) -> None:
    """Exchange the attention of the blocks of an image tower, in place."""
    for name, module in list(network.named_modules()):
        parent, _, own = name.rpartition(".")
        if parent.startswith("visual.transformer.resblocks.") and isinstance(module, nn.MultiheadAttention):
            with torch.no_grad():
                setattr(network.get_submodule(parent), own, SplitAttention(module))
