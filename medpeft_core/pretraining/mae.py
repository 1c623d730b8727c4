"""Masked autoencoder (He et al. 2022, arXiv:2111.06377): the model, its masks and its loss. Heavy."""

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

NORM_EPS = 1e-6  # of the layer norms and of the patches' variance, as in the paper's code
TOKEN_STD = 0.02


class Masking(NamedTuple):
    """Which patches of each image the encoder sees; all are indices into the N patches, row by row.

    `visible` (B, V) and `hidden` (B, N - V) in the order of the shuffle; `restore` (B, N) brings "visible, then hidden"
    back to the order of the image.
    """

    visible: torch.Tensor
    hidden: torch.Tensor
    restore: torch.Tensor


class Rebuilding(NamedTuple):
    """What one forward pass gives: the loss, and the prediction (B, N - V, patch values) for the hidden patches."""

    loss: torch.Tensor
    predicted: torch.Tensor
    masking: Masking


class MaskedAutoencoder(nn.Module):
    """An encoder that sees few patches, and a light decoder that rebuilds the others.

    Args:
        encoder: a plain timm ViT without head; its position table is kept as it is and is not trained.
        mask_ratio: share of the patches that are hidden, above 0 and below 1.
        norm_pixels: the target of each patch is its pixels less their mean, over their spread.
        decoder_width: a multiple of 4.
        decoder_depth: blocks.
        decoder_heads: a divisor of the width.
    """

    decoder_positions: torch.Tensor

    def __init__(
        self,
        encoder: VisionTransformer,
        *,
        mask_ratio: float,
        norm_pixels: bool,
        decoder_width: int,
        decoder_depth: int,
        decoder_heads: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm_pixels = norm_pixels
        self.patch_size: tuple[int, int] = tuple(encoder.patch_embed.patch_size)
        self.grid_size: tuple[int, int] = tuple(encoder.patch_embed.grid_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        self.num_visible = count_visible(self.num_patches, mask_ratio)
        encoder.pos_embed.requires_grad_(False)
        self.decoder_embed = nn.Linear(encoder.embed_dim, decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_width))
        positions = compute_sincos_positions(decoder_width, self.grid_size)
        self.register_buffer("decoder_positions", positions, persistent=False)
        norm = partial(nn.LayerNorm, eps=NORM_EPS)
        blocks = [Block(decoder_width, decoder_heads, qkv_bias=True, norm_layer=norm) for _ in range(decoder_depth)]
        self.decoder_blocks = nn.Sequential(*blocks)
        self.decoder_norm = nn.LayerNorm(decoder_width, eps=NORM_EPS)
        self.decoder_head = nn.Linear(decoder_width, 3 * self.patch_size[0] * self.patch_size[1])
        for part in (self.decoder_embed, self.decoder_blocks, self.decoder_norm, self.decoder_head):
            part.apply(init_like_mae)
        nn.init.normal_(self.mask_token, std=TOKEN_STD)

    def forward(self, images: torch.Tensor, noise: torch.Tensor) -> Rebuilding:
        """Hide, encode, decode, and compare.

        Args:
            images: (B, 3, S, S) normalised.
            noise: (B, N) of any distribution; the patches with the lowest values stay visible.
        """
        masking = draw_masking(noise, self.num_visible)
        predicted = self.decode(self.encode(images, masking.visible), masking)  # (B, N - V, patch values)
        targets = take_tokens(self.split(images), masking.hidden)
        if self.norm_pixels:
            targets = normalise_patches(targets)
        loss = F.mse_loss(predicted.float(), targets.float())
        return Rebuilding(loss, predicted, masking)

    def encode(self, images: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """Tokens (B, P + V, D) of the P prefix tokens and the visible patches only, after the last norm."""
        encoder = self.encoder
        tokens = encoder._pos_embed(encoder.patch_embed(images))  # (B, P + N, D); timm's own way for every variant
        num_prefix = encoder.num_prefix_tokens
        prefix, patches = tokens[:, :num_prefix], tokens[:, num_prefix:]
        seen = torch.cat((prefix, take_tokens(patches, visible)), dim=1)  # (B, P + V, D)
        return encoder.norm(encoder.blocks(encoder.norm_pre(seen)))

    def decode(self, encoded: torch.Tensor, masking: Masking) -> torch.Tensor:
        """Predictions (B, N - V, patch values) for the hidden patches, in the order of `masking.hidden`."""
        num_prefix = self.encoder.num_prefix_tokens
        embedded = self.decoder_embed(encoded)
        mask_tokens = self.mask_token.to(embedded.dtype).expand(len(embedded), masking.hidden.shape[1], -1)
        shuffled = torch.cat((embedded[:, num_prefix:], mask_tokens), dim=1)
        patches = take_tokens(shuffled, masking.restore) + self.decoder_positions.to(embedded.dtype)  # (B, N, W)
        # prefix tokens have no place in the image, and so no position here
        decoded = self.decoder_blocks(torch.cat((embedded[:, :num_prefix], patches), dim=1))
        hidden = take_tokens(decoded[:, num_prefix:], masking.hidden)  # the head works for hidden patches only
        return self.decoder_head(self.decoder_norm(hidden))

    def split(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, S, S) as patches (B, N, patch values), each row by row with the channel last."""
        batch, channels, _, _ = images.shape
        (rows, columns), (height, width) = self.grid_size, self.patch_size
        patches = images.reshape(batch, channels, rows, height, columns, width).permute(0, 2, 4, 3, 5, 1)
        return patches.reshape(batch, rows * columns, height * width * channels)

    def join(self, patches: torch.Tensor) -> torch.Tensor:
        """The inverse of `split`."""
        (rows, columns), (height, width) = self.grid_size, self.patch_size
        images = patches.reshape(len(patches), rows, columns, height, width, 3).permute(0, 5, 1, 3, 2, 4)
        return images.reshape(len(patches), 3, rows * height, columns * width)

    def rebuild(self, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, S, S) with the hidden patches as predicted and the visible ones as they are.

        With `norm_pixels` the model predicts a patch in units of that patch's own mean and spread, so these two numbers
        are taken from the original: brightness and contrast of a hidden patch are then known, its content is not.
        """
        _, predicted, masking = self(images, noise)
        patches = self.split(images)
        hidden = take_tokens(patches, masking.hidden)
        values = predicted.to(patches.dtype)
        if self.norm_pixels:
            mean, spread = measure_patches(hidden)
            values = values * spread + mean
        index = masking.hidden.unsqueeze(-1).expand(-1, -1, patches.shape[-1])
        return self.join(patches.scatter(1, index, values))


def count_visible(num_patches: int, mask_ratio: float) -> int:
    """Patches that stay visible: the paper's rounding down, but at least one is seen and at least one is hidden."""
    return min(max(int(num_patches * (1 - mask_ratio)), 1), num_patches - 1)


def draw_masking(noise: torch.Tensor, num_visible: int) -> Masking:
    """The masking that noise (B, N) stands for."""
    shuffle = noise.argsort(dim=1, stable=True)  # stable: the same on every device
    return Masking(shuffle[:, :num_visible], shuffle[:, num_visible:], shuffle.argsort(dim=1))


def take_tokens(tokens: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Some tokens (B, K, D) of (B, N, D) by their place (B, K)."""
    return tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def measure_patches(patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and spread (B, N, 1) of the values of each patch."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return mean, (variance + NORM_EPS).sqrt()


def normalise_patches(patches: torch.Tensor) -> torch.Tensor:
    """Each patch less its mean, over its spread (section 4.1 of the paper)."""
    mean, spread = measure_patches(patches)
    return (patches - mean) / spread


def compute_sincos_positions(width: int, grid_size: tuple[int, int]) -> torch.Tensor:
    """Fixed positions (1, N, width) of a grid: half of the width tells the column, half the row (MoCo v3 and MAE).

    Args:
        width: a multiple of 4.
        grid_size: rows and columns of patches.
    """
    rows, columns = grid_size
    frequencies = 1 / 10_000 ** (torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.reshape(-1, 1).double() * frequencies for place in (x, y)]  # each (N, width / 4)
    table = torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1)
    return table.float().unsqueeze(0)


def init_encoder(encoder: VisionTransformer) -> None:
    """Start an encoder as the paper does: Xavier weights, and a fixed table of sines in place of learned positions."""
    encoder.blocks.apply(init_like_mae)
    encoder.norm.apply(init_like_mae)
    projection = encoder.patch_embed.proj
    nn.init.xavier_uniform_(projection.weight.flatten(1))
    if projection.bias is not None:
        nn.init.zeros_(projection.bias)
    for token in (encoder.cls_token, encoder.reg_token):
        if token is not None:
            nn.init.normal_(token, std=TOKEN_STD)
    positions = compute_sincos_positions(encoder.embed_dim, tuple(encoder.patch_embed.grid_size))
    with torch.no_grad():
        encoder.pos_embed.zero_()  # prefix tokens have no place
        encoder.pos_embed[:, -positions.shape[1] :] = positions


def init_like_mae(module: nn.Module) -> None:
    """Xavier weights and zero biases for Linears, ones and zeros for norms."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
