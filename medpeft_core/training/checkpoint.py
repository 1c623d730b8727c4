"""checkpoints/last: all that an exact continuation needs, in one safetensors file that is replaced at once."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from medpeft_core.errors import RunError
from medpeft_core.methods.adapted import AdaptedModel
from medpeft_core.paths import ensure_dir, write_atomically

CHECKPOINT_FILE = "state.safetensors"
METADATA_KEY = "medpeft"


@dataclass(kw_only=True)
class Position:
    """Where training stands; a plain record that survives JSON exactly.

    Attributes:
        epoch: the epoch in progress, from 1.
        batch: forward passes done in it.
        step: optimizer steps done in all.
        loss_sum, num_losses: of the epoch in progress.
        best_score: best value of the selection metric so far (higher is better), at `best_step` and `best_epoch`.
        evals_since_best: for early stopping.
        window: losses since the last step event.
        is_over: training has ended and only the final evaluation is left.
        train_time_s, data_wait_s, train_images, wall_time_s: for the speed over the whole run, whatever interrupted it.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    num_losses: int = 0
    first_train_loss: float | None = None
    last_train_loss: float | None = None
    best_score: float | None = None
    best_step: int | None = None
    best_epoch: int | None = None
    evals_since_best: int = 0
    last_eval_step: int = -1
    is_over: bool = False
    train_time_s: float = 0.0
    data_wait_s: float = 0.0
    train_images: int = 0
    wall_time_s: float = 0.0
    epochs_done: int = 0
    window: list[float] = field(default_factory=list)


def save_checkpoint(
    folder: Path,
    *,
    adapted: AdaptedModel,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler | None,
    position: Position,
) -> None:
    """Replace the checkpoint in `folder`; at any moment the old one or the new one is whole.

    Random numbers need no state: those of a forward pass are seeded from (seed, epoch, batch). Gradients are kept when
    the stop fell between two forward passes of one accumulated step.
    """
    tensors = {f"model.{name}": tensor for name, tensor in {**adapted.trainable(), **adapted.buffers()}.items()}
    for name, parameter in adapted.trainable().items():
        if parameter.grad is not None:
            tensors[f"grad.{name}"] = parameter.grad
    for name, parameter in adapted.trainable().items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                tensors[f"optim.{key}.{name}"] = value if isinstance(value, torch.Tensor) else torch.tensor(value)
    tensors |= {f"method.{name}": tensor for name, tensor in adapted.get_state().items()}
    metadata = {"position": asdict(position), "scaler": scaler.state_dict() if scaler is not None else None}
    stored = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    content = {METADATA_KEY: json.dumps(metadata)}
    path = ensure_dir(folder) / CHECKPOINT_FILE
    write_atomically(path, lambda temporary: safetensors.torch.save_file(stored, temporary, metadata=content))


def load_checkpoint(
    folder: Path,
    *,
    adapted: AdaptedModel,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler | None,
    device: str,
) -> Position | None:
    """Continue from the checkpoint in `folder`, if there is one; only a run's own worker may call this.

    Returns:
        Where training stood, or None without a checkpoint.

    Raises:
        RunError: the checkpoint is damaged or belongs to another model.
    """
    path = folder / CHECKPOINT_FILE
    for stale in folder.glob(f".{CHECKPOINT_FILE}.*.tmp"):
        stale.unlink()  # a worker that was killed while it wrote
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata: dict[str, Any] = json.loads((file.metadata() or {})[METADATA_KEY])
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
        raise RunError(
            f"The checkpoint {path} is damaged ({error}). Delete it to start this run from the beginning."
        ) from error
    parameters = adapted.trainable()
    _restore_tensors({**parameters, **adapted.buffers()}, stored, path)
    own = {key.removeprefix("method."): value for key, value in stored.items() if key.startswith("method.")}
    adapted.set_state(own)
    for name, parameter in parameters.items():
        gradient = stored.get(f"grad.{name}")
        parameter.grad = _place_like(parameter, gradient) if gradient is not None else None
    for name, parameter in parameters.items():
        state = {key.split(".", 2)[1]: value for key, value in stored.items() if _is_state_of(key, name)}
        if state:
            # optimizers without fused kernels keep their step count on the CPU
            optimizer.state[parameter] = {
                key: value if key == "step" and device == "mps" else _place_like(parameter, value)
                for key, value in state.items()
            }
    if scaler is not None and metadata["scaler"] is not None:
        scaler.load_state_dict(metadata["scaler"])
    known = {item.name for item in fields(Position)}
    return Position(**{name: value for name, value in metadata["position"].items() if name in known})


def _place_like(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """`value` where `parameter` lies and in its memory layout: fused optimizers pair numbers by their place there."""
    if value.shape != parameter.shape:
        return value.to(parameter.device)
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _is_state_of(key: str, parameter_name: str) -> bool:
    kind, _, rest = key.partition(".")
    return kind == "optim" and rest.partition(".")[2] == parameter_name


def _restore_tensors(expected: dict[str, torch.Tensor], stored: dict[str, torch.Tensor], path: Path) -> None:
    with torch.no_grad():
        for name, tensor in expected.items():
            found = stored.get(f"model.{name}")
            if found is None or found.shape != tensor.shape:
                raise RunError(
                    f"The checkpoint {path} does not fit this run's model at {name!r}. Delete it to start again."
                )
            tensor.copy_(found)
