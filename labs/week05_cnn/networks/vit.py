"""Vision Transformer: an image as a sentence of patches (2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from labs.week05_cnn.networks.interface import Stage
from labs.week05_cnn.networks.sizes import ImageSize, height_width, require_size
from labs_core.errors import LabsError


class SelfAttention(nn.Module):
    """softmax(Q Kᵀ / √d) V, in several heads side by side. (B, T, D) -> (B, T, D).

    Vaswani et al. 2017, "Attention is all you need", section 3.2; here queries, keys and values
    all come from the same T tokens. One matrix makes all three, as in the published weights.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Every token takes from every other one, in proportion to how well they match."""
        _, tokens, dim = x.shape
        projected = nn.functional.linear(x, self.in_proj_weight, self.in_proj_bias)  # (B, T, 3D)
        split = projected.reshape(-1, tokens, 3, self.heads, dim // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # three of (B, heads, T, D/heads)
        # Without the root the products grow with d and the softmax would see one token only.
        scores = query @ key.transpose(-2, -1) / math.sqrt(dim // self.heads)  # (B, heads, T, T)
        mixed = torch.softmax(scores, dim=-1) @ value  # (B, heads, T, D/heads)
        return self.out_proj(mixed.transpose(1, 2).reshape(-1, tokens, dim))


class EncoderBlock(nn.Module):
    """Attention between tokens, then an MLP on each one; both add to x. (B, T, D) -> (B, T, D)."""

    def __init__(self, dim: int, heads: int, mlp_dim: int, dropout: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim, eps=1e-6)
        self.self_attention = SelfAttention(dim, heads)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_dim, dim),
            nn.Dropout(dropout),
        )
        for layer in (self.mlp[0], self.mlp[3]):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Equations 2 and 3; the norm comes first, so that the sum itself is never rescaled."""
        x = x + self.dropout(self.self_attention(self.ln_1(x)))
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions, blocks, last norm. (B, T, D) -> (B, T, D)."""

    def __init__(
        self, tokens: int, dim: int, depth: int, heads: int, mlp_dim: int, dropout: float
    ) -> None:
        super().__init__()
        # Attention is blind to order: each place gets a vector of its own, learned.
        self.pos_embedding = nn.Parameter(torch.empty(1, tokens, dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential()
        for index in range(depth):
            block = EncoderBlock(dim, heads, mlp_dim, dropout)
            self.layers.add_module(f"encoder_layer_{index}", block)
        self.ln = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Equations 1 (the positions) to 3, and the norm of equation 4."""
        return self.ln(self.layers(self.dropout(x + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """Dosovitskiy et al. 2021, "An image is worth 16x16 words", section 3.1.

    Args:
        name: `vit` or `vit_b_16`.
        num_classes: K, the number of logits.
        channels: of the images, C.
        image_size: in pixels, a multiple of `patch_size`; the weights are for this size alone.
        patch_size: side of a patch, P.
        dim: length of a token, D; a multiple of `heads`.
        depth: number of encoder blocks.
        heads: attention heads per block.
        mlp_dim: hidden units of each block's MLP.
        dropout: share of values dropped in training.
    """

    head = "heads.head"
    mean_then_linear = False

    def __init__(
        self,
        name: str,
        num_classes: int,
        channels: int,
        image_size: ImageSize,
        patch_size: int,
        dim: int,
        depth: int,
        heads: int,
        mlp_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.name = name
        require_size(
            name, image_size, patch_size, "Set a smaller model.patch_size, or use larger images."
        )
        height, width = height_width(image_size)
        if height % patch_size or width % patch_size:
            raise LabsError(
                f"{name} cannot cut images of {height}x{width} into patches of {patch_size}",
                "the sides must be multiples of the patch size",
                f"Set model.patch_size to a divisor of {math.gcd(height, width)}.",
            )
        if dim % heads:
            raise LabsError(
                f"{name} cannot share dim {dim} among {heads} heads",
                "each head gets the same number of values",
                "Set model.heads to a divisor of model.dim.",
            )
        patches = (height // patch_size) * (width // patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        # Cutting into patches and multiplying each by a matrix is a convolution with stride P.
        self.conv_proj = nn.Conv2d(channels, dim, patch_size, stride=patch_size)
        self.encoder = Encoder(1 + patches, dim, depth, heads, mlp_dim, dropout)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(dim, num_classes))

        # Variance 1 / fan_in: tokens begin with the variance of the pixels.
        fan_in = channels * patch_size**2
        nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / fan_in))
        nn.init.zeros_(self.conv_proj.bias)
        # A head of zeros gives equal probabilities, so the first steps leave the body in peace.
        nn.init.zeros_(self.heads.head.weight)
        nn.init.zeros_(self.heads.head.bias)

    def features(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> tokens (B, 1 + N, D), N = H W / P²; the first is the class token."""
        patches = self.conv_proj(images)  # (B, D, H/P, W/P)
        tokens = patches.flatten(2).transpose(1, 2)  # (B, N, D)
        class_token = self.class_token.expand(tokens.shape[0], -1, -1)  # (B, 1, D)
        return self.encoder(torch.cat([class_token, tokens], dim=1))

    def classify(self, features: Tensor) -> Tensor:
        """(B, 1 + N, D) -> (B, K), from the class token alone (equation 4)."""
        return self.heads(features[:, 0])

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K)."""
        return self.classify(self.features(images))

    def stages(self) -> list[Stage]:
        """Patches and positions, each block (the last with the norm after it), the head."""
        embedding = [
            self.class_token,
            self.conv_proj,
            self.encoder.pos_embedding,
            self.encoder.dropout,
        ]
        *blocks, last = self.encoder.layers
        return [embedding, *([block] for block in blocks), [last, self.encoder.ln], [self.heads]]


def vit(
    num_classes: int,
    channels: int = 3,
    image_size: ImageSize = 32,
    patch_size: int = 4,
    dim: int = 128,
    depth: int = 6,
    heads: int = 4,
    mlp_dim: int = 256,
    dropout: float = 0.0,
) -> VisionTransformer:
    """A Vision Transformer of any size; as it stands, a small one for 32x32 pixels."""
    return VisionTransformer(
        "vit", num_classes, channels, image_size, patch_size, dim, depth, heads, mlp_dim, dropout
    )


def vit_b_16(
    num_classes: int, channels: int = 3, image_size: ImageSize = 224, dropout: float = 0.0
) -> VisionTransformer:
    """ViT-B/16 (Table 1, "Base"): 86,567,656 parameters for 1000 classes."""
    return VisionTransformer(
        "vit_b_16", num_classes, channels, image_size, 16, 768, 12, 12, 3072, dropout
    )
