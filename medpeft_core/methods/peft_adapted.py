"""Adapters made by the peft library, saved as folders that plain peft can read. Heavy."""

import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel, get_peft_model
from peft.utils import ModulesToSaveWrapper, get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict
from safetensors import SafetensorError
from torch import nn

from medpeft_core.errors import MethodError
from medpeft_core.methods.adapted import BUFFERS_FILE, AdaptedModel, load_tensors, save_tensors
from medpeft_core.methods.spec import ModelParts

# factors and lengths: decayed towards 0, they would switch their features off
NEUTRAL_AT_ONE = (".ia3_l.", ".boft_s.", ".lora_magnitude_vector.")


class PeftAdaptedModel(AdaptedModel):
    """A model with adapters in place; `network` is the timm model itself, `peft_model` the wrapper that saves."""

    def __init__(self, peft_model: PeftModel, *, method: str) -> None:
        super().__init__(peft_model.get_base_model(), method=method)
        self.peft_model = peft_model

    @property
    def prefix(self) -> str:
        """What the names of the tuner's own tensors begin with, such as `lora_`."""
        return str(self.peft_model.base_model.prefix)

    def buffers(self) -> dict[str, torch.Tensor]:
        """Persistent buffers without the tuner's own, which peft stores or draws again from their seed."""
        own = self.prefix.split("_")[0] + "_"  # `vera_lambda_` learns, `vera_A` is a buffer
        return {name: buffer for name, buffer in super().buffers().items() if f".{own}" not in name}

    def no_decay(self) -> frozenset[str]:
        return frozenset(name for name in self.trainable() if any(part in name for part in NEUTRAL_AT_ONE))

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
        # what peft leaves unsaid: it keeps what it finds no tensor for, random masks and matrices among it
        expected = get_peft_model_state_dict(self.peft_model, save_embedding_layers=False)
        if odd := sorted(expected.keys() ^ state.keys()):
            problem = "is missing" if odd[0] in expected else "has no place in it"
            raise MethodError(
                f"The adapter in {folder} does not fit this model: the tensor {odd[0]!r} {problem}. "
                "It belongs to another run."
            )
        try:
            set_peft_model_state_dict(self.peft_model, state)
        except RuntimeError as error:  # torch lists every tensor of another shape, one a line
            reason = str(error).splitlines()[1:2] or [str(error)]
            raise MethodError(
                f"The adapter in {folder} does not fit this model: {reason[0].strip()} It belongs to another run."
            ) from error
        load_tensors(self.network, self.buffers(), folder / BUFFERS_FILE)

    def merge(self) -> nn.Module:
        merged = self.peft_model.merge_and_unload()
        assert isinstance(merged, nn.Module)
        for name, module in list(merged.named_modules()):
            if isinstance(module, ModulesToSaveWrapper):  # peft's LN tuning leaves the trained head in its wrapper
                merged.set_submodule(name, module.modules_to_save["default"])
        return merged


def adapt_by_peft(
    model: nn.Module,
    config: PeftConfig,
    parts: ModelParts,
    *,
    method: str,
    adapted_type: type[PeftAdaptedModel] = PeftAdaptedModel,
) -> PeftAdaptedModel:
    """Put what `config` says into the model through peft; head and fresh modules are trained in full beside it.

    The adapter is drawn from torch's global generator, on the device of the model.

    Args:
        config: any tuner's, with its `target_modules`.
        method: name of the method.

    Raises:
        MethodError: peft refuses the layers or settings, or would train something that nobody asked for.
    """
    trained = (parts.head, *parts.fresh)
    config.modules_to_save = list(trained)
    try:
        with without_warnings():
            peft_model = get_peft_model(model, config)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise MethodError(
            f"The method {method!r} cannot be put on {parts.backbone!r}: {error}. Change its settings or targets."
        ) from error
    _unwrap_namesakes(peft_model.get_base_model(), trained)
    adapted = adapted_type(peft_model, method=method)
    odd = [name for name in adapted.trainable() if adapted.prefix not in name and not name.startswith(trained)]
    if odd:  # peft finds modules_to_save by the ending of their names
        raise MethodError(
            f"The method {method!r} would also train {odd[0]!r}, whose name ends like the head's. Choose another "
            "backbone."
        )
    return adapted


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep peft from telling of layers that it has not met, kernels that it could not compile, and its own defaults."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"peft\.")
        yield


def _unwrap_namesakes(model: nn.Module, trained: tuple[str, ...]) -> None:
    """Take modules without parameters out again that peft wrapped because their names end like the head's."""
    for name, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper) and name not in trained and not list(module.parameters()):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.original_module)


class ContiguousAdapted(PeftAdaptedModel):
    """For tuners that see a kernel as a matrix by `view`, which fails on weights in the order of channels last."""

    can_be_channels_last = False


def match_exactly(names: Iterable[str]) -> str:
    """`target_modules` for these layers and no others: peft takes a text as a regular expression over whole names.

    A list would be taken as endings, and `proj` also ends the patch embedding's layer.
    """
    return "|".join(re.escape(name) for name in names)


def find_widths(model: nn.Module, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """By name, how many numbers a layer gives and how many it reads for each; a convolution's kernel included."""
    weights = {name: model.get_parameter(f"{name}.weight") for name in names}
    return {name: (len(weight), weight[0].numel()) for name, weight in weights.items()}


def check_rank(model: nn.Module, names: tuple[str, ...], rank: int, *, setting: str = "method.rank") -> None:
    """Refuse a rank above the smaller side of a target layer: it would only cost, never add.

    Raises:
        MethodError: names the narrowest layer and the largest rank.
    """
    widths = {name: min(sides) for name, sides in find_widths(model, names).items()}
    narrowest = min(widths, key=lambda name: widths[name])
    if rank > widths[narrowest]:
        raise MethodError(
            f"{setting} is {rank}, but the layer {narrowest!r} is only {widths[narrowest]} wide. "
            f"Use a rank of at most {widths[narrowest]}, better 4 to 32."
        )


def choose_divisor(name: str, value: int, sides: Mapping[str, tuple[int, ...]], *, at_most: int) -> int:
    """A size of blocks that divides the sides of every layer.

    Args:
        name: of the setting, for messages.
        value: as asked for; 0 for the largest that fits.
        sides: by layer, the numbers to divide.
        at_most: the largest that is chosen for 0.

    Raises:
        MethodError: `value` divides not all of them; says which values do.
    """
    common = math.gcd(*(side for layer in sides.values() for side in layer))
    divisors = [size for size in range(1, common + 1) if common % size == 0]
    if value == 0:
        return max(size for size in divisors if size <= at_most)
    if value not in divisors:
        layer = next(layer for layer, numbers in sides.items() if any(number % value for number in numbers))
        listed = ", ".join(map(str, divisors[-8:]))
        raise MethodError(
            f"{name} is {value}, which does not divide the layer {layer!r} of {' x '.join(map(str, sides[layer]))}. "
            f"These divide all layers: {listed}. 0 chooses one."
        )
    return value
