"""A trained 1 x 1 convolution beside a frozen convolution, and how it is merged into the centre tap. Heavy."""

import torch
from torch import nn

from medpeft_core.methods.adapted import PlainAdaptedModel
from medpeft_core.methods.insertion import Insertion


class ParallelConv(nn.Module):
    """conv(x) + adapter(x): the adapter has a 1 x 1 kernel, the stride of `conv`, no groups and no bias.

    `conv` must be centred (odd kernel, padding of half its reach), so that both give maps of one size and the adapter
    reads what lies under the centre tap.
    """

    def __init__(self, conv: nn.Conv2d, *, init_scale: float) -> None:
        super().__init__()
        self.conv = conv
        self.adapter = nn.Conv2d(
            conv.in_channels,
            conv.out_channels,
            kernel_size=1,
            stride=(conv.stride[0], conv.stride[1]),
            bias=False,
            device=conv.weight.device,
            dtype=conv.weight.dtype,
        )
        with torch.no_grad():
            nn.init.eye_(self.adapter.weight[:, :, 0, 0]).mul_(init_scale)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.conv(features) + self.adapter(features)
        return added

    @torch.no_grad()
    def merge(self) -> nn.Conv2d:
        """The convolution alone, with the adapter in its centre tap."""
        height, width = self.conv.kernel_size
        self.conv.weight[:, :, height // 2, width // 2] += self.adapter.weight[:, :, 0, 0]
        return self.conv


def put_in_parallel_convs(model: nn.Module, *, names: list[str], init_scale: float) -> None:
    """Put a `ParallelConv` in the place of each of these convolutions."""
    for name in names:
        conv = model.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        model.set_submodule(name, ParallelConv(conv, init_scale=init_scale))


class TsaModel(PlainAdaptedModel):
    """A model with a `ParallelConv` in the place of each convolution in `names`."""

    def __init__(self, network: nn.Module, names: tuple[str, ...], *, init_scale: float) -> None:
        super().__init__(network, method="tsa")
        self._names = names
        settings = {"names": list(names), "init_scale": init_scale}
        self.insertion = Insertion(put_in=put_in_parallel_convs, code=(ParallelConv,), settings=settings).apply(network)

    def merge(self) -> nn.Module:
        for name in self._names:
            layer = self.network.get_submodule(name)
            assert isinstance(layer, ParallelConv)
            self.network.set_submodule(name, layer.merge())
        return self.network
