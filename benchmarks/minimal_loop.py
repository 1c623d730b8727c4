"""The outside reference: timm and peft in the shortest loop that trains the same, with nothing of the lab in it."""

from contextlib import nullcontext

import timm
import torch
from peft import LoraConfig, get_peft_model
from torch import nn


class SplitQKV(nn.Module):
    """q, k and v as three layers, because the lab splits them for LoRA too; written out here on its own."""

    def __init__(self, fused: nn.Linear) -> None:
        super().__init__()
        width = fused.out_features // 3
        self.parts = nn.ModuleDict({name: nn.Linear(fused.in_features, width) for name in "qkv"})

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.parts[name](tokens) for name in "qkv"], dim=-1)


def build_reference(backbone: str, method: str, *, num_classes: int, image_size: int, device: str) -> nn.Module:
    """A timm model with plain peft LoRA on q and v (ViT) or on every convolution after the stem (CNN)."""
    options = {"img_size": image_size, "global_pool": "avg"} if "vit" in backbone else {}
    model = timm.create_model(backbone, num_classes=num_classes, **options)
    head = model.pretrained_cfg["classifier"]
    fresh = ["fc_norm"] if "vit" in backbone else []
    if method == "linear":
        model.requires_grad_(False)
        model.get_submodule(head).requires_grad_(True)
    elif method == "lora":
        if "vit" in backbone:
            for block in model.blocks:
                block.attn.qkv = SplitQKV(block.attn.qkv)
            targets = r".*\.parts\.(q|v)"
        else:
            names = [
                name for name, module in model.named_modules() if isinstance(module, nn.Conv2d) and name != "conv1"
            ]
            targets = "|".join(names)
        config = LoraConfig(
            r=8, lora_alpha=32, lora_dropout=0.1, target_modules=targets, modules_to_save=[head, *fresh]
        )
        model = get_peft_model(model, config)
    is_cnn = "vit" not in backbone
    return model.to(device, memory_format=torch.channels_last) if is_cnn else model.to(device)


class MinimalLoop:
    """Forward, loss, backward, clip, step on tensors in memory."""

    def __init__(self, model: nn.Module, *, device: str, precision: str, method: str) -> None:
        self.model, self.device, self.precision = model, device, precision
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.parameters, lr=1e-4, weight_decay=0.05, fused=True
        )
        self.step = 0
        model.train()
        if method != "full":
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def compute_penalty(self) -> torch.Tensor | None:
        """What a method adds to the loss."""
        return None

    def after_step(self, step: int) -> None:
        """What a method does after the update, while the gradients are there."""

    def run(self, images: torch.Tensor, targets: torch.Tensor, steps: int) -> None:
        for _ in range(steps):
            is_low = self.precision == "bf16"
            with torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16) if is_low else nullcontext():
                logits = self.model(images)
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), targets)
            penalty = self.compute_penalty()
            (loss if penalty is None else loss + penalty).backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.after_step(self.step)
            self.step += 1
            self.optimizer.zero_grad(set_to_none=True)
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
