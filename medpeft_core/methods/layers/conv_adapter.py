"""The depthwise bottleneck of Conv-Adapter beside a convolution. Heavy."""

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame, ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import nn

# they place their kernel as a plain convolution, or one padded by the size of its input, does
KNOWN_CONVS = (nn.Conv2d, Conv2dSame, StdConv2d, StdConv2dSame, ScaledStdConv2d, ScaledStdConv2dSame)


class AdaptedConv(nn.Module):
    """A convolution and, beside it, alpha * W_up(ReLU(W_down(x))).

    Until trained it gives what the convolution gives: W_up starts at zero, alpha at one, W_down as torch starts any
    convolution, with a bias of zero.

    Attributes:
        conv: the convolution that was there, frozen.
        down: W_down, with the kernel, stride, padding and dilation of `conv`, and a group for each of its outputs.
        up: W_up, 1 x 1.
        alpha: (C_out,); of one dimension, so that weight decay leaves it at one.
    """

    def __init__(self, conv: nn.Conv2d, *, width: int) -> None:
        super().__init__()
        self.conv = conv
        self.down = build_like(conv, width)
        device, dtype = conv.weight.device, conv.weight.dtype
        self.up = nn.Conv2d(width, conv.out_channels, 1, device=device, dtype=dtype)
        self.alpha = nn.Parameter(torch.ones(conv.out_channels, device=device, dtype=dtype))
        assert self.down.bias is not None
        assert self.up.bias is not None
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = F.relu(self.down(features))  # (B, width, h, w)
        return self.conv(features) + self.alpha.view(-1, 1, 1) * self.up(hidden)  # (B, C_out, h, w)


def can_adapt(conv: nn.Module) -> bool:
    """Whether it is known where this convolution places its kernel."""
    return type(conv) in KNOWN_CONVS


def choose_width(in_channels: int, reduction: int) -> int:
    """The largest number of groups up to `in_channels // reduction` that divides the channels."""
    return max(width for width in range(1, in_channels // reduction + 1) if in_channels % width == 0)


def put_in_adapted_convs(model: nn.Module, *, widths: dict[str, int]) -> None:
    """Put an `AdaptedConv` in the place of each convolution.

    Args:
        widths: by name of the convolution, the width of its bottleneck.
    """
    for name, width in widths.items():
        conv = model.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        model.set_submodule(name, AdaptedConv(conv, width=width))


def build_like(conv: nn.Conv2d, width: int) -> nn.Conv2d:
    """A new convolution to `width` channels, each from a group of its own, that pads and strides as `conv` does."""
    pads_by_size = isinstance(conv, Conv2dSame) or getattr(conv, "same_pad", False)
    settings: dict[str, Any] = {
        "kernel_size": conv.kernel_size,
        "stride": conv.stride,
        "dilation": conv.dilation,
        "groups": width,
        "device": conv.weight.device,
        "dtype": conv.weight.dtype,
    }
    if not pads_by_size:
        settings |= {"padding": conv.padding, "padding_mode": conv.padding_mode}
    kind = Conv2dSame if pads_by_size else nn.Conv2d
    down: nn.Conv2d = kind(conv.in_channels, width, **settings)
    return down
