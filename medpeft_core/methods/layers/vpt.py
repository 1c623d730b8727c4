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
        self, num_prompts: int, width: int, *, num_prefix_tokens: int, num_pixels: int, dropout: float
    ) -> None:
        """`width`: numbers D of a token; `num_pixels`: numbers that make up one patch."""
        super().__init__()
        bound = math.sqrt(6 / (num_pixels + width))
        self.tokens = nn.Parameter(torch.empty(num_prompts, width))
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
        # not len(tokens): an export to ONNX would keep the number of images that it was made with
        prompts = self.dropout(self.tokens.expand(tokens.shape[0], -1, -1)).to(tokens.dtype)  # (B, P, D)
        prefix, patches = tokens[:, : self.num_prefix_tokens], tokens[:, self.num_prefix_tokens :]
        return torch.cat((prefix, prompts, patches), dim=1), *others  # (B, N + P, D)

    def remove(self, block: nn.Module, inputs: tuple[Any, ...], tokens: torch.Tensor) -> torch.Tensor:
        """A block's output without what became of the prompts."""
        end = self.num_prefix_tokens + len(self.tokens)
        return torch.cat((tokens[:, : self.num_prefix_tokens], tokens[:, end:]), dim=1)  # (B, N, D)


def put_in_prompts(
    model: nn.Module,
    *,
    spans: list[list[str]],
    num_prompts: int,
    width: int,
    num_prefix_tokens: int,
    num_pixels: int,
    dropout: float,
) -> None:
    """Add a set of prompts, as `prompts.<index>`, for each pair of first and last block that it goes through."""
    sets = nn.ModuleList()
    for first, last in spans:
        prompts = Prompts(
            num_prompts, width, num_prefix_tokens=num_prefix_tokens, num_pixels=num_pixels, dropout=dropout
        )
        prompts.attach(model.get_submodule(first), model.get_submodule(last))
        sets.append(prompts)
    like = next(model.parameters())
    model.add_module("prompts", sets.to(device=like.device, dtype=like.dtype))
