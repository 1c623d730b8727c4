"""A model after a method was applied: what to call, what is trained, and how that is saved and loaded. Heavy."""

from abc import ABC, abstractmethod
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from medpeft_core.errors import MethodError
from medpeft_core.methods.insertion import Insertion
from medpeft_core.paths import write_json

WEIGHTS_FILE = "adapter.safetensors"
BUFFERS_FILE = "buffers.safetensors"
METHOD_FILE = "method.json"


class AdaptedModel(ABC):
    """A backbone with a method applied.

    Attributes:
        network: the module to call; (B, 3, H, W) normalised images to (B, K) logits.
        method: name of the method.
        num_extra_tokens: tokens that the method puts between the class token and the patch tokens.
        can_be_channels_last: whether convolutions may lie in memory in the order that is faster for them.
        insertion: how the method's own modules got into the backbone; None where it has none, or peft's.
    """

    num_extra_tokens: int = 0
    can_be_channels_last: bool = True
    insertion: Insertion | None = None

    def __init__(self, network: nn.Module, *, method: str) -> None:
        self.network = network
        self.method = method

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name."""
        return {name: parameter for name, parameter in self.network.named_parameters() if parameter.requires_grad}

    def num_params(self) -> int:
        """All parameters of the model in use, adapters included."""
        # peft keeps the untrained copy of a module that it trains in full
        named = self.network.named_parameters()
        return sum(parameter.numel() for name, parameter in named if ".original_module." not in name)

    def num_trainable_params(self) -> int:
        """Trained parameters, counted."""
        return sum(parameter.numel() for parameter in self.trainable().values())

    def set_train_mode(self) -> None:
        """Train mode, but BatchNorm layers whose scale is not trained keep the statistics of pre-training.

        Papers seldom say which statistics a partly trained BatchNorm uses (Dutt et al. 2024 do not). Here those of the
        batch go with a trained scale; where at most the bias learns, nothing but the bias changes.
        """
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train(module.weight is not None and module.weight.requires_grad)

    def buffers(self) -> dict[str, torch.Tensor]:
        """Persistent buffers (BatchNorm statistics): part of what makes two models give the same numbers."""
        persistent = self.network.state_dict(keep_vars=True)
        return {name: buffer for name, buffer in self.network.named_buffers() if name in persistent}

    def lr_scales(self) -> dict[str, float]:
        """Factors on the learning rate, by name of the trained parameter; absent ones are 1."""
        return {}

    def no_decay(self) -> frozenset[str]:
        """Names of trained parameters that weight decay must leave alone, beside those of one dimension."""
        return frozenset()

    def begin(self, num_steps: int) -> None:
        """Called before the first step of a session, with the optimizer steps of the whole run; nothing by itself."""
        return None

    def compute_penalty(self) -> torch.Tensor | None:
        """What the method adds to the loss of each forward pass, a scalar; None for nothing."""
        return None

    def after_step(self, step: int, *, is_scaled: bool = False) -> None:
        """Called after optimizer step `step` (from 0), with its gradients unscaled and still there; nothing by itself.

        Args:
            step: as above.
            is_scaled: a loss scaler may have skipped the step; then some gradients are not finite.
        """
        return None

    def get_state(self) -> dict[str, torch.Tensor]:
        """What an exact continuation needs beside trained parameters and buffers, by name."""
        return {}

    def set_state(self, state: dict[str, torch.Tensor]) -> None:
        """Take back what `get_state` gave, after parameters and buffers were restored; nothing by itself."""
        return None

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write everything that was trained, with head and buffers, into an empty folder."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read what `save` wrote; afterwards the network gives the same logits.

        Raises:
            MethodError: a file is missing, damaged or of another model.
        """

    @abstractmethod
    def merge(self) -> nn.Module:
        """The network with adapters merged into the base, as a plain module; ends the use of this object.

        Raises:
            MethodError: the method cannot be merged (`MethodSpec.is_mergeable`).
        """


class PlainAdaptedModel(AdaptedModel):
    """A method that trains parameters of the model itself, or of modules that were put into it.

    The file holds every trained parameter, and the persistent buffers, by their names in the network.
    """

    def save(self, folder: Path) -> None:
        tensors = {**self.trainable(), **self.buffers()}
        save_tensors(tensors, folder / WEIGHTS_FILE)
        write_json(folder / METHOD_FILE, {"method": self.method, "trained": sorted(self.trainable())})

    def load(self, folder: Path) -> None:
        load_tensors(self.network, {**self.trainable(), **self.buffers()}, folder / WEIGHTS_FILE)

    def merge(self) -> nn.Module:
        return self.network


def save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Write tensors as safetensors from the CPU, each with its own memory."""
    safetensors.torch.save_file(
        {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}, path
    )


def load_tensors(network: nn.Module, expected: dict[str, torch.Tensor], path: Path) -> None:
    """Copy the tensors of a file into `expected`, all of them and no others.

    Raises:
        MethodError: says which tensor is missing, unexpected or of another shape.
    """
    try:
        found = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise MethodError(f"The trained weights {path} cannot be read: {error}. Train the run again.") from error
    for name, tensor in expected.items():
        if name not in found:
            raise MethodError(f"{path}: the tensor {name!r} is missing. These are the weights of another run.")
        if found[name].shape != tensor.shape:
            raise MethodError(f"{path}: {name!r} has the shape {tuple(found[name].shape)}, not {tuple(tensor.shape)}.")
    unexpected = sorted(set(found) - set(expected))
    if unexpected:
        raise MethodError(f"{path}: the tensor {unexpected[0]!r} has no place in this model.")
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(found[name])
