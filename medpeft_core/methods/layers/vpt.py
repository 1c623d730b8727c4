"""Prompts for visual prompt tuning: trained tokens that a block reads beside those of the image. Heavy."""

import math
from typing import Any

import torch
from torch import nn


class Prompts(nn.Module):
    """One set of prompts, put in before one block and taken out after the same or a later one by hooks on the blocks.

    Hooks leave the names of the model's modules as they are. They are methods of this module, which belongs to the
    model, so that a deep copy of the model has prompts and hooks of its own.

    Attributes:
        tokens: (P, D), uniform in +-sqrt(6 / (num_pixels + D)) at the start.
        num_prefix_tokens: class and register tokens, which the prompts follow.
    """

    def __init__(
        self, num_prompts: int, *, like: torch.Tensor, num_prefix_tokens: int, num_pixels: int, dropout: float
    ) -> None:
        """`like`: a tensor (..., D) of the model; `num_pixels`: numbers that make up one patch."""
        super().__init__()
        width = like.shape[-1]
        bound = math.sqrt(6 / (num_pixels + width))
        self.tokens = nn.Parameter(torch.empty(num_prompts, width, device=like.device, dtype=like.dtype))
        nn.init.uniform_(self.tokens, -bound, bound)
        self.dropout = nn.Dropout(dropout)
        self.num_prefix_tokens = num_prefix_tokens

    def attach(self, first: nn.Module, last: nn.Module) -> None:
        """Prompts are read by the blocks from `first` to `last`, and by nothing after that."""
        first.register_forward_pre_hook(self.insert)
        last.register_forward_hook(self.remove)

    def insert(self, block: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """A block's inputs, the first of which is (B, N, D), with the prompts in it."""
        tokens, *others = inputs
        prompts = self.dropout(self.tokens.expand(len(tokens), -1, -1)).to(tokens.dtype)  # (B, P, D)
        prefix, patches = tokens[:, : self.num_prefix_tokens], tokens[:, self.num_prefix_tokens :]
        return torch.cat((prefix, prompts, patches), dim=1), *others  # (B, N + P, D)

    def remove(self, block: nn.Module, inputs: tuple[Any, ...], tokens: torch.Tensor) -> torch.Tensor:
        """A block's output without what became of the prompts."""
        end = self.num_prefix_tokens + len(self.tokens)
        return torch.cat((tokens[:, : self.num_prefix_tokens], tokens[:, end:]), dim=1)  # (B, N, D)
