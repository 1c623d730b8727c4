"""The bottleneck of AdaptFormer beside an MLP. Heavy."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class AdaptedMlp(nn.Module):
    """An MLP and, beside it, s * (ReLU(x W_down + b) W_up + b').

    Until trained it gives what the MLP gives: W_up and both biases start at zero, W_down is drawn Kaiming-uniform with
    a = sqrt 5.

    Attributes:
        mlp: the MLP that was there, frozen.
        down, up: W_down with b, and W_up with b'.
        scale: s.
        dropout: between ReLU and W_up.
    """

    def __init__(self, mlp: nn.Module, *, width: int, bottleneck: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.mlp = mlp
        weight = next(mlp.parameters())
        self.down = nn.Linear(width, bottleneck, device=weight.device, dtype=weight.dtype)
        self.up = nn.Linear(bottleneck, width, device=weight.device, dtype=weight.dtype)
        self.dropout = nn.Dropout(dropout)
        self.scale = scale
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.dropout(F.relu(self.down(tokens)))  # (B, N, bottleneck)
        return self.mlp(tokens) + self.scale * self.up(hidden)  # (B, N, D)


def put_in_adapted_mlps(
    model: nn.Module, *, widths: dict[str, int], bottleneck: int, scale: float, dropout: float
) -> None:
    """Put an `AdaptedMlp` in the place of each MLP.

    Args:
        widths: by name of the MLP, the numbers D of a token that it reads.
    """
    for name, width in widths.items():
        mlp = model.get_submodule(name)
        model.set_submodule(name, AdaptedMlp(mlp, width=width, bottleneck=bottleneck, scale=scale, dropout=dropout))
