"""AdaLoRA's budget and orthogonality, really applied, stored for an exact continuation."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from medpeft_core.methods.peft_adapted import PeftAdaptedModel

SCORES = ("ipt", "exp_avg_ipt", "exp_avg_unc")  # of every number: sensitivity, and its two running means


class AdaloraAdapted(PeftAdaptedModel):
    """A model under AdaLoRA; the ranks are masks: a singular value that was taken away is zero."""

    _warmup_share = 0.0
    _final_share = 0.5

    def set_shares(self, *, warmup: float, final: float) -> None:
        """Shares of the steps before the first, and after the last change of ranks."""
        self._warmup_share, self._final_share = warmup, final

    def begin(self, num_steps: int) -> None:
        config = self._config
        config.total_step = num_steps
        # the first step has no scores yet, so the ranks of a run of one step stay
        config.tfinal = min(max(1, round(self._final_share * num_steps)), num_steps - 1)
        config.tinit = min(round(self._warmup_share * num_steps), max(num_steps - config.tfinal - 1, 0))

    def compute_penalty(self) -> torch.Tensor | None:
        """Weight times the mean of ||P^T P - I|| and ||Q Q^T - I|| over all layers (equation 4; norms as in peft)."""
        weight = self._config.orth_reg_weight
        if not weight:
            return None
        distances = []
        for name, parameter in self.trainable().items():
            if ".lora_A." in name or ".lora_B." in name:
                product = parameter @ parameter.T if ".lora_A." in name else parameter.T @ parameter  # (r, r)
                identity = torch.eye(len(product), device=product.device, dtype=product.dtype)
                distances.append(torch.linalg.norm(product - identity))
        return weight * torch.stack(distances).mean()

    def after_step(self, step: int, *, is_scaled: bool = False) -> None:
        """Update scores and ranks; a step that a loss scaler skipped has no gradients to score by."""
        config = self._config
        scores_count = step < config.total_step - config.tfinal
        if scores_count and is_scaled and not self._has_finite_gradients():
            return
        if not scores_count and not self._allocator.exp_avg_ipt and config.rank_pattern is None:
            return  # every step so far was skipped: the ranks stay
        self.peft_model.base_model.update_and_allocate(step)

    def _has_finite_gradients(self) -> bool:
        gradients = [item.grad for item in self.trainable().values() if item.grad is not None]
        return bool(torch.stack([torch.isfinite(gradient).all() for gradient in gradients]).all())

    def count_ranks(self) -> dict[str, int]:
        """By layer, the singular values that are left; all of them until the first change."""
        values = {name: item for name, item in self.trainable().items() if ".lora_E." in name}
        masks = self._config.rank_pattern or {}
        return {name.split(".lora_E")[0]: sum(masks.get(name, [True] * len(item))) for name, item in values.items()}

    def get_state(self) -> dict[str, torch.Tensor]:
        allocator = self._allocator
        state = {f"{kind}.{name}": value for kind in SCORES for name, value in getattr(allocator, kind).items()}
        masks = self._config.rank_pattern or {}
        return state | {f"mask.{name}": torch.tensor(mask) for name, mask in masks.items()}

    def set_state(self, state: dict[str, torch.Tensor]) -> None:
        allocator, parameters = self._allocator, self.trainable()
        allocator.reset_ipt()
        masks: dict[str, list[bool]] = {}
        for key, value in state.items():
            kind, _, name = key.partition(".")
            if kind == "mask":
                masks[name] = value.tolist()
            else:
                getattr(allocator, kind)[name] = value.to(parameters[name].device)
        self._config.rank_pattern = masks or None

    def save(self, folder: Path) -> None:
        with self._whole():
            super().save(folder)

    def load(self, folder: Path) -> None:
        with self._whole():
            super().load(folder)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Let peft see no masks: the masked singular values are stored as zeros.

        It would cut them out, here and in the file, and other tensor sizes give other last digits than those of the
        stored predictions.
        """
        masks, self._config.rank_pattern = self._config.rank_pattern, None
        try:
            yield
        finally:
            self._config.rank_pattern = masks

    @property
    def _config(self) -> Any:
        return self.peft_model.peft_config["default"]

    @property
    def _allocator(self) -> Any:
        return self.peft_model.base_model.rankallocator
