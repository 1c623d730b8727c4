"""PretrainConfig: everything that decides what a pre-training does; RunConfig's counterpart without labels. Light."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Self

from medpeft_core.config import (
    AugmentConfig,
    DataConfig,
    check_choices,
    check_device,
    check_normalisation,
    layout_setting,
    positions_setting,
    setting,
)
from medpeft_core.errors import require
from medpeft_core.sections import SectionedConfig

REFERENCE_BATCH = 256  # base learning rates are given for so many images an update (He et al. 2022)
# He et al. 2022 crop and flip only; chest films are cropped less than photographs, so that both lungs mostly stay
MAE_AUGMENT = AugmentConfig(
    crop_scale_min=0.4, crop_ratio_max=4 / 3, flip=0.5, rotation_deg=0.0, brightness=0.0, contrast=0.0
)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Which model is pre-trained, from which weights, at which size."""

    name: str = setting("vit_tiny_patch16_224", "A plain ViT of the list, or any plain timm ViT.")
    weights: str = setting(
        "random", "Where it starts from: random, demo, pretrained (downloads once), a weights file, or shelf:NAME."
    )
    weights_sha256: str | None = setting(None, "SHA-256 of the weights it starts from, once they are known.")
    image_size: int | None = setting(
        None, "Side of the square that the model sees, in pixels. None: the backbone's own."
    )
    layout: str = layout_setting()
    positions: str = positions_setting()
    mean: tuple[float, float, float] | None = setting(None, "Pixel means for normalisation, 0 to 1. None: .5.")
    std: tuple[float, float, float] | None = setting(None, "Pixel standard deviations. None: .25.")

    def __post_init__(self) -> None:
        is_fine = self.image_size is None or 16 <= self.image_size <= 2048
        require(is_fine, "encoder.image_size", self.image_size, "from 16 to 2048")
        check_normalisation("encoder", self.mean, self.std)
        check_choices("encoder", self)


@dataclass(frozen=True, kw_only=True)
class MaeConfig:
    """How images are masked and rebuilt (He et al. 2022, arXiv:2111.06377)."""

    mask_ratio: float = setting(0.75, "Share of the patches that are hidden from the encoder.")
    norm_pixels: bool = setting(
        True, "Rebuild each patch in units of its own mean and spread, which the paper found to learn better features."
    )
    decoder_width: int | None = setting(
        None, "Width of the decoder, a multiple of 4. None: two thirds of the encoder's, at most 512 (the paper: 512)."
    )
    decoder_depth: int | None = setting(
        None, "Blocks of the decoder (the paper: 8). None: a third of the encoder's, at most 8."
    )
    decoder_heads: int | None = setting(None, "Attention heads of the decoder. None: one for each 32 of its width.")

    def __post_init__(self) -> None:
        require(0 < self.mask_ratio < 1, "mae.mask_ratio", self.mask_ratio, "above 0 and below 1")
        for name in ("decoder_width", "decoder_depth", "decoder_heads"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"mae.{name}", value, "1 or more")
        width, heads = self.decoder_width, self.decoder_heads
        require(width is None or width % 4 == 0, "mae.decoder_width", width, "a multiple of 4")
        is_fine = width is None or heads is None or width % heads == 0
        require(is_fine, "mae.decoder_heads", heads, f"a divisor of mae.decoder_width ({width})")


@dataclass(frozen=True, kw_only=True)
class PretrainOptimConfig:
    """How the weights are updated: AdamW, warm-up, half a cosine."""

    base_lr: float = setting(1.5e-4, "Peak learning rate for 256 images an update; it grows with the batch.")
    min_lr: float = setting(0.0, "Learning rate at the end of the cosine.")
    warmup_epochs: float = setting(
        40.0, "Epochs of linear warm-up from 0 to the peak; at most a fifth of the run is used."
    )
    weight_decay: float = setting(0.05, "Weight decay on tensors with more than one dimension.")
    beta1: float = setting(0.9, "First beta of AdamW.")
    beta2: float = setting(0.95, "Second beta of AdamW.")
    clip_norm: float = setting(0.0, "Gradients are scaled down to this norm; 0 is off, as in the paper.")

    def __post_init__(self) -> None:
        require(self.base_lr > 0, "optim.base_lr", self.base_lr, "above 0")
        for name in ("min_lr", "warmup_epochs", "weight_decay", "clip_norm"):
            require(getattr(self, name) >= 0, f"optim.{name}", getattr(self, name), "0 or more")
        for name in ("beta1", "beta2"):
            require(0 <= getattr(self, name) < 1, f"optim.{name}", getattr(self, name), "0 or more and below 1")


@dataclass(frozen=True, kw_only=True)
class PretrainTrainConfig:
    """How long, how large, where, and from which seed."""

    epochs: int = setting(200, "Passes over the training images.")
    batch_size: int = setting(64, "Images in one forward pass.")
    accumulation: int = setting(1, "Forward passes before each update; batch_size times this is the effective batch.")
    seed: int = setting(0, "Seed of random weights, order, augmentation and masks.")
    device: str = setting("auto", "auto, cpu, cuda:0 (or another number), or mps.")
    precision: str = setting("auto", "Number format of the forward pass.", choices=("auto", "fp32", "bf16", "fp16"))
    keep_every: int = setting(
        0, "Epochs between two encoders that are kept, so that 100 can be compared with 200 epochs; 0: four in all."
    )
    show_every: int = setting(0, "Epochs between two rebuilt pictures; 0: about forty in all.")
    checkpoint_every_s: float = setting(300.0, "Seconds between two checkpoints inside a long epoch.")

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulation"):
            require(getattr(self, name) >= 1, f"train.{name}", getattr(self, name), "1 or more")
        for name in ("keep_every", "show_every"):
            require(getattr(self, name) >= 0, f"train.{name}", getattr(self, name), "0 or more")
        require(0 <= self.seed < 2**31, "train.seed", self.seed, "from 0 to 2147483647")
        require(self.checkpoint_every_s > 0, "train.checkpoint_every_s", self.checkpoint_every_s, "above 0")
        check_device(self.device)
        check_choices("train", self)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(SectionedConfig):
    """The whole of a pre-training's settings."""

    data: DataConfig = field(default_factory=DataConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    mae: MaeConfig = field(default_factory=MaeConfig)
    optim: PretrainOptimConfig = field(default_factory=PretrainOptimConfig)
    train: PretrainTrainConfig = field(default_factory=PretrainTrainConfig)
    augment: AugmentConfig = MAE_AUGMENT

    @property
    def peak_lr(self) -> float:
        """The learning rate that warm-up leads to: `base_lr` times images an update over 256."""
        return self.optim.base_lr * self.train.batch_size * self.train.accumulation / REFERENCE_BATCH

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """As for every config; fields of `augment` that are absent take the values of `MAE_AUGMENT`."""
        augment = values.get("augment")
        if isinstance(augment, dict):
            values = {**values, "augment": {**dataclasses.asdict(MAE_AUGMENT), **augment}}
        return super().from_dict(values)


def pretrain_sections() -> list[str]:
    """The sections of a PretrainConfig, in order."""
    return PretrainConfig.sections()
