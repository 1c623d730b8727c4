"""Accumulated steps equal one step on the whole batch."""

from pathlib import Path

import pytest
import torch
from toy_set import ToyControl, create_run, make_config, register_toy

from medpeft_core.training import epochs
from medpeft_core.training.session import train_run

NO_AUGMENTATION = {
    "crop_scale_min": 1, "crop_ratio_max": 1, "flip": 0, "rotation_deg": 0, "brightness": 0, "contrast": 0,
}  # fmt: skip


def _gradients(monkeypatch: pytest.MonkeyPatch, batch_size: int, accumulation: int) -> list[torch.Tensor]:
    """Gradients as the optimizer finds them, of every step."""
    seen: list[torch.Tensor] = []
    real = epochs.set_lr

    def look(optimizer: torch.optim.Optimizer, lr: float) -> None:
        parameters = [item for group in optimizer.param_groups for item in group["params"]]
        seen.append(torch.cat([item.grad.flatten() for item in parameters]))
        real(optimizer, lr)

    with monkeypatch.context() as patch:
        patch.setattr(epochs, "set_lr", look)
        config = make_config(
            method={"name": "full"}, augment=NO_AUGMENTATION, optim={"clip_norm": 0.0, "lr": 1e-4},
            train={"epochs": 1, "batch_size": batch_size, "accumulation": accumulation},
        )  # fmt: skip
        run = create_run(config)
        assert train_run(run, ToyControl(run)) == "finished"
    return seen


def test_accumulation_gives_the_gradients_of_the_large_batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """40 images: 4 passes of 8 equal one of 32; the last, shorter step of one pass equals one of 8."""
    register_toy(monkeypatch, tmp_path / "toy")
    accumulated = _gradients(monkeypatch, 8, 4)
    whole = _gradients(monkeypatch, 32, 1)
    assert len(accumulated) == len(whole) == 2
    for one, other in zip(accumulated, whole, strict=True):
        scale = other.abs().max().item()
        assert scale > 1e-4
        assert (one - other).abs().max().item() < 1e-3 * scale  # after the first update weights differ in the last bits
    assert (accumulated[0] - whole[0]).abs().max().item() < 2e-5 * whole[0].abs().max().item()
