"""How much memory training takes, measured on the built model with a few blank images, not quoted from a formula."""

import tempfile
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from medpeft_core.config import RunConfig
from medpeft_core.methods.adapted import AdaptedModel
from medpeft_core.training.build import BuiltModel, place_model
from medpeft_core.training.device import autocast

BATCHES = (1, 2, 4, 8, 16)
MEASURE_S = 1.0  # after the second batch no further one is begun later than this
MAX_WEIGHED_BYTES = 64 * 1024**2  # beyond it the names in the files are nothing beside the numbers
MOMENTS = {"adamw": 2, "sgd": 1}  # numbers that the optimizer keeps for each trained one


@dataclass(frozen=True, kw_only=True)
class ModelNeeds:
    """Bytes that a model and its method take, whatever the batch size.

    Attributes:
        weights, buffers: of the whole model, adapters included.
        trained: of the trained parameters.
        adapter: of the files that a trained run keeps without its base.
        forward: (batch size, bytes) of all that a forward pass for training makes and keeps, in ascending order.
        evaluation: bytes for each image of a forward pass without gradients.
        feature: bytes of the cached feature of an image; 0 where none are cached.
    """

    weights: int
    buffers: int
    trained: int
    adapter: int
    forward: tuple[tuple[int, int], ...]
    evaluation: int
    feature: int = 0

    def forward_bytes(self, batch_size: int) -> int:
        """What one forward pass for training takes; a straight line beyond the largest batch that was measured."""
        sizes, taken = zip(*self.forward, strict=True)
        if batch_size <= sizes[-1]:
            return round(float(np.interp(batch_size, sizes, taken)))
        slope = (taken[-1] - taken[-2]) / (sizes[-1] - sizes[-2])
        return round(taken[-1] + slope * (batch_size - sizes[-1]))


@dataclass(frozen=True, kw_only=True)
class MemoryNeed:
    """What one run takes of its device.

    Attributes:
        needs: of its model.
        config: complete.
        fixed: bytes by part that neither model nor batch decides.
    """

    needs: ModelNeeds
    config: RunConfig
    fixed: dict[str, int]

    def parts(self, batch_size: int, evaluation_batch_size: int) -> dict[str, int]:
        """Bytes by part. Their sum is an upper bound: without accumulation, gradients come only as activations go.

        `activations` are those of training or of evaluation, whatever is more. Workspaces inside kernels are not in it.
        """
        optim, needs = self.config.optim, self.needs
        moments = 0 if optim.optimizer == "sgd" and optim.momentum == 0 else MOMENTS[optim.optimizer]
        return {
            "weights": needs.weights,
            "buffers": needs.buffers,
            "gradients": needs.trained,
            "optimizer": moments * needs.trained,
            "activations": max(needs.forward_bytes(batch_size), needs.evaluation * evaluation_batch_size),
            **self.fixed,
        }

    def total(self, batch_size: int, evaluation_batch_size: int) -> int:
        """All parts together, in bytes."""
        return sum(self.parts(batch_size, evaluation_batch_size).values())

    def warn(self, free_bytes: int | None) -> list[str]:
        """A sentence that says what to change, when the run takes more than its device has free (None: unknown)."""
        train, evaluation = self.config.train, self.config.evaluation
        asked = train.batch_size, evaluation.batch_size
        if free_bytes is None or self.total(*asked) <= free_bytes:
            return []
        fitting = self._find_fitting(free_bytes)
        problem = (
            f"This run needs about {_in_gib(self.total(*asked))} of memory, but {train.device} has "
            f"{_in_gib(free_bytes)} free."
        )
        if self.total(*fitting) > free_bytes:
            least = _in_gib(self.total(*fitting))
            return [f"{problem} Even single images take {least}. Choose a smaller backbone or backbone.image_size."]
        changes = []
        if fitting[0] < asked[0]:
            accumulation = -(-asked[0] * train.accumulation // fitting[0])
            changes.append(
                f"train.batch_size {fitting[0]} with train.accumulation {accumulation} (the same effective batch)"
            )
        if fitting[1] < asked[1]:
            changes.append(f"evaluation.batch_size {fitting[1]}")
        return [f"{problem} Use {' and '.join(changes)}: that takes about {_in_gib(self.total(*fitting))}."]

    def _find_fitting(self, free_bytes: int) -> tuple[int, int]:
        """Batch sizes of training and evaluation, halved until all fits or there is nothing left to halve."""
        batch, evaluation = self.config.train.batch_size, self.config.evaluation.batch_size
        while self.total(batch, evaluation) > free_bytes:
            is_evaluation = self.needs.evaluation * evaluation >= self.needs.forward_bytes(batch)
            if is_evaluation and evaluation > 1:
                evaluation //= 2
            elif not is_evaluation and batch > 1:
                batch //= 2
            else:
                break
        return batch, evaluation


class LiveMemory(TorchDispatchMode):
    """While it is entered, counts the bytes of all tensors that operations make, until nothing holds them.

    Tensors of the network are left out; several views of one memory count once.

    Attributes:
        peak_bytes: the most that was alive at once.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.peak_bytes = 0
        self._live_bytes = 0
        self._own = [tensor.untyped_storage() for tensor in (*network.parameters(), *network.buffers())]
        self._counted = {id(storage) for storage in self._own}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for item in result if isinstance(result, tuple | list) else (result,):
            if isinstance(item, torch.Tensor):
                for tensor in _list_dense(item):
                    self._count(tensor.untyped_storage())
        self.peak_bytes = max(self.peak_bytes, self._live_bytes)
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if id(storage) in self._counted:
            return
        size = storage.nbytes()
        self._counted.add(id(storage))
        self._live_bytes += size
        weakref.finalize(storage, self._release, id(storage), size)

    def _release(self, key: int, size: int) -> None:
        self._counted.discard(key)
        self._live_bytes -= size


def _list_dense(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The tensor, or those that a sparse one is made of: it has no memory of its own."""
    if tensor.layout == torch.sparse_coo:
        return tensor._indices(), tensor._values()
    return (tensor,) if tensor.layout == torch.strided else ()


def measure_needs(built: BuiltModel, *, precision: str) -> ModelNeeds:
    """Weigh a model, with forward passes on the CPU of growing batches until `MEASURE_S` is over, at least two.

    Leaves the model in eval mode, its weights and BatchNorm statistics as they were.

    Args:
        built: on the CPU.
        precision: of training; fp16 is weighed as bf16, which takes as many bytes.
    """
    adapted, size, channels = built.adapted, built.backbone.image_size, built.backbone.channels
    network = adapted.network
    place_model(built, device="cpu")
    trained = [*adapted.trainable().values()]
    forward = _measure_forward(built, "bf16" if precision == "fp16" else precision)
    network.eval()
    with LiveMemory(network) as memory, torch.no_grad():
        network(torch.zeros(1, channels, size, size))
    return ModelNeeds(
        weights=_count_bytes(network.parameters()),
        buffers=_count_bytes(network.buffers()),
        trained=_count_bytes(trained),
        adapter=weigh_files(adapted),
        forward=forward,
        evaluation=memory.peak_bytes,
    )


def weigh_files(adapted: AdaptedModel) -> int:
    """Bytes of what a method saves: of files that are written and removed again, of the tensors where they are large.

    Some methods save more than trained parameters and buffers, such as what was taken out of the base.
    """
    frozen = {name for name, parameter in adapted.network.named_parameters() if not parameter.requires_grad}
    counted = _count_bytes(tensor for name, tensor in adapted.network.state_dict().items() if name not in frozen)
    if counted > MAX_WEIGHED_BYTES:
        return counted
    with tempfile.TemporaryDirectory(prefix="medpeft-") as folder:
        adapted.save(Path(folder))
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _measure_forward(built: BuiltModel, precision: str) -> tuple[tuple[int, int], ...]:
    adapted, size, channels = built.adapted, built.backbone.image_size, built.backbone.channels
    adapted.set_train_mode()
    for module in adapted.network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()  # it keeps as much, takes a single image, and its statistics stay
    started = time.perf_counter()
    found: list[tuple[int, int]] = []
    for batch_size in BATCHES:
        if len(found) >= 2 and time.perf_counter() - started > MEASURE_S:
            break
        with LiveMemory(adapted.network) as memory, autocast("cpu", precision):
            logits = adapted.network(torch.zeros(batch_size, channels, size, size))
        found.append((batch_size, memory.peak_bytes))
        del logits  # and with it all that was kept for the way back
    return tuple(found)


def _count_bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def find_device_memory(device: str) -> int | None:
    """All the memory of a device in bytes; None where it is not told."""
    if device.startswith("cuda"):
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total) if device == "cpu" else None


def find_free_memory(device: str) -> int | None:
    """What a new run may take, in bytes: on a CPU what is free now, of a GPU all, since runs take turns there."""
    return int(psutil.virtual_memory().available) if device == "cpu" else find_device_memory(device)


def _in_gib(num_bytes: int) -> str:
    return f"{num_bytes / 1024**3:.1f} GiB"
