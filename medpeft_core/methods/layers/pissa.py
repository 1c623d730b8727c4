"""PiSSA's frozen remainder, exact whatever the singular value decomposition gives the next time."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from medpeft_core.methods.peft_adapted import PeftAdaptedModel
from medpeft_core.methods.spec import ModelParts

START_A, START_B = "pissa_start_A", "pissa_start_B"  # (r, in), (out, r): what was taken out of the frozen weight


class PissaAdapted(PeftAdaptedModel):
    """A, B start as factors of W; the frozen layer holds W - s B0 A0.

    A decomposition may differ in its last digits between machines or numbers of threads, so the remainder is always
    computed from W and the stored B0, A0: they are buffers, and travel with checkpoints and adapters.
    """

    def remember_start(self, originals: dict[str, torch.Tensor]) -> None:
        """Keep B0 and A0 as buffers, and set the remainder by them.

        Args:
            originals: by module name, W (out, in) before anything was taken out.
        """
        self._originals: dict[str, torch.Tensor] = {}
        for name, module in self.network.named_modules():
            if name in originals and hasattr(module, "lora_A"):
                self._originals[name] = originals[name]
                module.register_buffer(START_A, module.lora_A["default"].weight.detach().clone())
                module.register_buffer(START_B, module.lora_B["default"].weight.detach().clone())
        self._settle()

    def buffers(self) -> dict[str, torch.Tensor]:
        return {**super().buffers(), **self._starts()}

    def no_decay(self) -> frozenset[str]:
        """A and B hold a part of the base, which decay would take away."""
        return frozenset(name for name in self.trainable() if ".lora_A." in name or ".lora_B." in name)

    def load(self, folder: Path) -> None:
        super().load(folder)
        self._settle()

    def set_state(self, state: dict[str, torch.Tensor]) -> None:
        self._settle()

    def _starts(self) -> dict[str, torch.Tensor]:
        return {
            f"{name}.{kind}": getattr(self.network.get_submodule(name), kind)
            for name in self._originals
            for kind in (START_A, START_B)
        }

    def _settle(self) -> None:
        """Set every frozen remainder to W - s B0 A0, computed on the CPU, as the device could round otherwise."""
        with torch.no_grad():
            for name, original in self._originals.items():
                layer: Any = self.network.get_submodule(name)
                first, second = (getattr(layer, kind).cpu() for kind in (START_A, START_B))
                remainder = original - layer.scaling["default"] * (second @ first)
                layer.get_base_layer().weight.copy_(remainder)


def keep_originals(model: nn.Module, parts: ModelParts) -> dict[str, torch.Tensor]:
    """The weights (out, in) of all Linear layers that may be taken apart; their memory, which peft writes not into."""
    return {name: model.get_parameter(f"{name}.weight").detach().cpu() for name in parts.linears}
