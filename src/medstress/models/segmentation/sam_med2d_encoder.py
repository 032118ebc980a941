"""SAM-Med2D's network: segment_anything's, with an adapter beside the MLP of every block of the image encoder.

Cheng et al., "SAM-Med2D", arXiv 2308.16184; Kirillov et al., "Segment anything", ICCV 2023. Names of parameters are
those of the published checkpoint. Needs the extra `sam`.
"""

from dataclasses import dataclass
from functools import partial

from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling.image_encoder import Block, window_partition, window_unpartition
from torch import Tensor, nn

# The hidden layer of the channel gate is this much narrower than the tokens.
_GATE = 4


@dataclass(frozen=True)
class Shape:
    """The sizes of a SAM-Med2D. `side`, `patch` in pixels; `window` in tokens; `channels` of the image embedding."""

    side: int = 256
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    window: int = 14
    channels: int = 256
    decoder_heads: int = 8
    decoder_width: int = 2048


class Adapter(nn.Module):
    """Gates channels by their means, looks at neighbouring tokens at half the resolution, adds and normalises."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.channel = nn.Sequential(
            nn.Linear(width, width // _GATE, bias=False),
            nn.ReLU(),
            nn.Linear(width // _GATE, width, bias=False),
            nn.Sigmoid(),
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False),
            nn.ReLU(),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [n, g, g, width] to the same; g is even."""
        gate = self.channel(tokens.mean((1, 2)))[:, None, None]
        seen = self.spatial((tokens * gate).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        answer: Tensor = self.norm(tokens + seen)
        return answer


class AdaptedBlock(Block):  # type: ignore[misc]
    """A transformer block whose MLP and adapter read the same normalised tokens, side by side."""

    def __init__(self, dim: int, **settings: object) -> None:
        super().__init__(dim, **settings)
        self.Adapter = Adapter(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [n, g, g, width] to the same."""
        attended = tokens + self._attention(self.norm1(tokens))
        normalised = self.norm2(attended)
        answer: Tensor = attended + self.mlp(normalised) + self.Adapter(normalised)
        return answer

    def _attention(self, tokens: Tensor) -> Tensor:
        """Attention within windows, or over all tokens where there are none."""
        answer: Tensor
        if self.window_size:
            windows, padded = window_partition(tokens, self.window_size)
            answer = window_unpartition(self.attn(windows), self.window_size, padded, tokens.shape[1:3])
        else:
            answer = self.attn(tokens)
        return answer


class SamMed2dNetwork(nn.Module):
    """Image encoder, prompt encoder and mask decoder, with weights as they are drawn."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        grid = shape.side // shape.patch
        self.shape = shape
        self.image_encoder = ImageEncoderViT(
            img_size=shape.side,
            patch_size=shape.patch,
            embed_dim=shape.width,
            depth=0,
            out_chans=shape.channels,
        )
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.image_encoder.blocks.extend(
            AdaptedBlock(
                shape.width,
                num_heads=shape.heads,
                norm_layer=norm,
                use_rel_pos=True,
                window_size=0 if index in shape.global_blocks else shape.window,
                input_size=(grid, grid),
            )
            for index in range(shape.depth)
        )
        self.prompt_encoder = PromptEncoder(
            embed_dim=shape.channels,
            image_embedding_size=(grid, grid),
            input_image_size=(shape.side, shape.side),
            mask_in_chans=16,
        )
        self.mask_decoder = MaskDecoder(
            transformer_dim=shape.channels,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=shape.channels, num_heads=shape.decoder_heads, mlp_dim=shape.decoder_width
            ),
        )

    def encode(self, pixels: Tensor) -> Tensor:
        """Embeddings [n, channels, g, g] of normalised pixels [n, 3, side, side]."""
        answer: Tensor = self.image_encoder(pixels)
        return answer

    def decode(self, embeddings: Tensor, boxes: Tensor, *, multimask: bool) -> Tensor:
        """Logits [n, 4 g, 4 g] of one box [n, 4], in input pixels, for each embedding [n, channels, g, g].

        With `multimask` the mask, of three, whose predicted IoU is the highest.
        """
        sparse, dense = self.prompt_encoder(None, boxes, None)
        logits, quality = self.mask_decoder(
            # The decoder repeats one image for all boxes, and adds the dense prompt. Here each box has its own image.
            image_embeddings=embeddings.new_zeros(1, *embeddings.shape[1:]),
            image_pe=self.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=embeddings + dense,
            multimask_output=multimask,
        )
        best = quality.argmax(1)[:, None, None, None].expand(-1, 1, *logits.shape[-2:])
        answer: Tensor = logits.gather(1, best)[:, 0]
        return answer
