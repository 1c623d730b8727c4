"""Adapters made by the peft library, saved as folders that plain peft can read. Heavy."""

import re
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import load_peft_weights, set_peft_model_state_dict
from safetensors import SafetensorError
from torch import nn

from medpeft_core.errors import MethodError
from medpeft_core.methods.adapted import BUFFERS_FILE, AdaptedModel, load_tensors, save_tensors


class PeftAdaptedModel(AdaptedModel):
    """A model with adapters in place; `network` is the timm model itself, `peft_model` the wrapper that saves."""

    def __init__(self, peft_model: PeftModel, *, method: str) -> None:
        super().__init__(peft_model.get_base_model(), method=method)
        self.peft_model = peft_model

    def save(self, folder: Path) -> None:
        # save_embedding_layers="auto" would ask the hub for the base model's config
        self.peft_model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # peft's unfilled model card
        save_tensors(self.buffers(), folder / BUFFERS_FILE)

    def load(self, folder: Path) -> None:
        try:
            state = load_peft_weights(str(folder), device="cpu")
        except (OSError, ValueError, SafetensorError) as error:
            raise MethodError(f"The adapter in {folder} cannot be read: {error}. Train the run again.") from error
        try:
            result = set_peft_model_state_dict(self.peft_model, state)
        except KeyError as error:
            raise MethodError(
                f"The adapter in {folder} does not fit this model: the tensor {error} is missing. "
                "It belongs to another run."
            ) from error
        except RuntimeError as error:  # torch lists every tensor of another shape, one a line
            reason = str(error).splitlines()[1:2] or [str(error)]
            raise MethodError(
                f"The adapter in {folder} does not fit this model: {reason[0].strip()} It belongs to another run."
            ) from error
        missing = [name for name in self.trainable() if any(name in item for item in result.missing_keys)]
        if missing or result.unexpected_keys:
            raise MethodError(
                f"The adapter in {folder} does not fit this model: {(missing or result.unexpected_keys)[0]!r} has no "
                "partner. It belongs to another run."
            )
        load_tensors(self.network, self.buffers(), folder / BUFFERS_FILE)

    def merge(self) -> nn.Module:
        merged = self.peft_model.merge_and_unload()
        assert isinstance(merged, nn.Module)
        return merged


def build_peft_lora(
    model: nn.Module,
    names: tuple[str, ...],
    *,
    rank: int,
    alpha: float,
    dropout: float,
    trained_modules: tuple[str, ...],
) -> PeftAdaptedModel:
    """LoRA on the layers `names`, with `trained_modules` trained in full; everything else is frozen.

    The adapter is drawn from torch's global generator, on the device of the model.
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        # peft treats a text as a regular expression over whole names, a list as endings; only the first is unambiguous
        target_modules="|".join(re.escape(name) for name in names),
        modules_to_save=list(trained_modules),
        bias="none",
    )
    adapted = PeftAdaptedModel(get_peft_model(model, config), method="lora")
    odd = [name for name in adapted.trainable() if ".lora_" not in name and not name.startswith(trained_modules)]
    if odd:  # peft finds modules_to_save by the ending of their names
        raise MethodError(
            f"LoRA would also train {odd[0]!r}, whose name ends like the head's. Choose another backbone."
        )
    return adapted


def check_rank(model: nn.Module, names: tuple[str, ...], rank: int) -> None:
    """Refuse a rank above the smaller side of a target layer: it would only cost, never add.

    Raises:
        MethodError: names the narrowest layer and the largest rank.
    """
    widths = {}
    for name in names:
        weight = model.get_submodule(name).weight
        assert isinstance(weight, torch.Tensor)
        rows, columns = weight.shape[0], weight[0].numel()
        widths[name] = min(rows, columns)
    narrowest = min(widths, key=lambda name: widths[name])
    if rank > widths[narrowest]:
        raise MethodError(
            f"method.rank is {rank}, but the layer {narrowest!r} is only {widths[narrowest]} wide. "
            f"Use a rank of at most {widths[narrowest]}, better 4 to 32."
        )
