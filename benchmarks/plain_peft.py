"""Methods of peft in plain timm + peft, written out from peft's own documentation with nothing of the lab in them.

The settings are those of the lab's defaults; `methods.py` checks that both sides train equally many parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import peft
import timm
import torch
from peft.optimizers import create_loraplus_optimizer
from peft.tuners.boft import layer as boft_layer
from torch import nn

from benchmarks.minimal_loop import MinimalLoop, SplitQKV

LR, LORA_PLUS_RATIO, WEIGHT_DECAY = 1e-4, 16.0, 0.05
WARMUP_SHARE, FINAL_SHARE = 0.1, 0.3  # of AdaLoRA's steps
LORA = {"r": 8, "lora_alpha": 32, "lora_dropout": 0.1}


@dataclass(frozen=True)
class PlainMethod:
    """One method of peft: a tuner's config without its layers, and which layers it gets.

    Attributes:
        build: from `target_modules` to the config.
        vit: the target layers of a ViT, as a regular expression over whole names.
        cnn: which convolutions of a CNN it gets, the stem apart; None for none.
    """

    build: Callable[[str], peft.PeftConfig]
    vit: str = r".*\.parts\.(q|v)"
    cnn: Callable[[nn.Conv2d], bool] | None = None


def is_any(conv: nn.Conv2d) -> bool:
    return True


def is_pointwise(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1)


def build_ia3(target_modules: str) -> peft.PeftConfig:
    """IA3 scales what a feed-forward layer reads, and what the others give."""
    feedforward = r".*\.mlp\.fc2" if "fc2" in target_modules else []
    return peft.IA3Config(target_modules=target_modules, feedforward_modules=feedforward)


def of(config: type[peft.PeftConfig], **options: object) -> Callable[[str], peft.PeftConfig]:
    """A builder of this config with these options."""
    return lambda target_modules: config(target_modules=target_modules, **options)


PLAIN_METHODS = {
    "lora": PlainMethod(of(peft.LoraConfig, **LORA), cnn=is_any),
    "rslora": PlainMethod(of(peft.LoraConfig, **LORA, use_rslora=True), cnn=is_any),
    "dora": PlainMethod(of(peft.LoraConfig, **LORA, use_dora=True), cnn=is_any),
    "pissa": PlainMethod(of(peft.LoraConfig, **LORA, init_lora_weights="pissa")),
    "lora_plus": PlainMethod(of(peft.LoraConfig, **LORA), cnn=is_any),
    "adalora": PlainMethod(
        of(peft.AdaLoraConfig, target_r=8, init_r=12, lora_alpha=32, lora_dropout=0.1, deltaT=10, total_step=1),
        cnn=is_any,
    ),
    "loha": PlainMethod(of(peft.LoHaConfig, r=8, alpha=8), cnn=is_any),
    "lokr": PlainMethod(of(peft.LoKrConfig, r=8, alpha=8), cnn=is_any),
    "ia3": PlainMethod(build_ia3, vit=r".*\.parts\.(k|v)|.*\.mlp\.fc2", cnn=is_any),
    "oft": PlainMethod(of(peft.OFTConfig, oft_block_size=32), cnn=is_pointwise),
    "boft": PlainMethod(of(peft.BOFTConfig, boft_block_size=4), cnn=is_any),
    "hra": PlainMethod(of(peft.HRAConfig, r=8), cnn=is_any),
    "vera": PlainMethod(of(peft.VeraConfig, r=64)),
    "fourierft": PlainMethod(of(peft.FourierFTConfig, n_frequency=500, init_weights=True)),
    "c3a": PlainMethod(of(peft.C3AConfig, block_size=64, init_weights=True)),
    "miss": PlainMethod(of(peft.MissConfig, r=16)),
    "randlora": PlainMethod(of(peft.RandLoraConfig, r=16)),
    "shira": PlainMethod(of(peft.ShiraConfig, r=8, random_seed=0)),
    "vblora": PlainMethod(of(peft.VBLoRAConfig, r=4, vector_length=64)),
    "road": PlainMethod(of(peft.RoadConfig, variant="road_1", group_size=64)),
    "ln_tuning": PlainMethod(of(peft.LNTuningConfig), vit=r"blocks\.\d+\.norm[12]"),
}


def build_plain_loop(
    backbone: str,
    method: str,
    *,
    num_classes: int,
    image_size: int,
    device: str,
    precision: str,
    num_steps: int,
    is_channels_last: bool,
) -> MinimalLoop:
    """The shortest loop that trains this method.

    Args:
        num_steps: of the whole run, for methods with a schedule of their own.
        is_channels_last: the layout of the weights.

    Raises:
        KeyError: it is not written out here, for this backbone.
    """
    model = build_plain_peft(backbone, method, num_classes=num_classes, image_size=image_size)
    model = model.to(device, memory_format=torch.channels_last if is_channels_last else torch.preserve_format)
    if method == "adalora":
        return AdaLoraLoop(model, device=device, precision=precision, num_steps=num_steps)
    loop = MinimalLoop(model, device=device, precision=precision, method=method)
    if method == "lora_plus":
        loop.optimizer = create_loraplus_optimizer(
            model, torch.optim.AdamW, lr=LR, loraplus_lr_ratio=LORA_PLUS_RATIO, weight_decay=WEIGHT_DECAY, fused=True
        )
    return loop


def build_plain_peft(backbone: str, method: str, *, num_classes: int, image_size: int) -> peft.PeftModel:
    """A timm model with a method of peft on it, on the CPU; its head learns beside it.

    Raises:
        KeyError: as `build_plain_loop`.
    """
    plain = PLAIN_METHODS[method]
    # peft would try, for each layer anew, to compile an extension that no torch of today compiles
    boft_layer._FBD_CUDA = False
    is_vit = "vit" in backbone
    options = {"img_size": image_size, "global_pool": "avg"} if is_vit else {}
    model = timm.create_model(backbone, num_classes=num_classes, **options)
    if is_vit:
        targets = plain.vit
        if "parts" in targets:
            for block in model.blocks:
                block.attn.qkv = SplitQKV(block.attn.qkv)
    else:
        if plain.cnn is None:
            raise KeyError(method)
        convs = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
        stem = model.pretrained_cfg["first_conv"]
        targets = "|".join(name for name, conv in convs if name != stem and plain.cnn(conv))
    config = plain.build(targets)
    config.modules_to_save = [model.pretrained_cfg["classifier"], *(["fc_norm"] if is_vit else [])]
    return peft.get_peft_model(model, config)


class AdaLoraLoop(MinimalLoop):
    """With the term that keeps the singular vectors orthogonal, and the budget, as peft's documentation says."""

    def __init__(self, model: peft.PeftModel, *, device: str, precision: str, num_steps: int) -> None:
        super().__init__(model, device=device, precision=precision, method="adalora")
        config = model.peft_config["default"]
        config.total_step = num_steps
        config.tinit, config.tfinal = round(WARMUP_SHARE * num_steps), round(FINAL_SHARE * num_steps)

    def compute_penalty(self) -> torch.Tensor:
        weight, losses = self.model.peft_config["default"].orth_reg_weight, []
        for name, matrix in self.model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                product = matrix @ matrix.T if "lora_A" in name else matrix.T @ matrix
                losses.append(torch.norm(product - torch.eye(len(product), device=product.device)))
        return weight * sum(losses) / len(losses)

    def after_step(self, step: int) -> None:
        self.model.base_model.update_and_allocate(step)
