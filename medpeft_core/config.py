"""RunConfig: everything that decides what a run does, as frozen, validated, round-tripping dataclasses.

A method's knobs and a data set's options are plain dicts here; `resolve.py`, which knows the registries, checks them.
`None` means "to be chosen by resolve.py": a resolved config, the one in a run folder, holds a value for everything
that has one.
"""

from dataclasses import dataclass, field
from typing import Any

from medpeft_core.errors import require
from medpeft_core.sections import SectionedConfig
from medpeft_core.settings import (
    check_choices,
    check_device,
    check_normalisation,
    check_reading,
    layout_setting,
    positions_setting,
    setting,
)

__all__ = [
    "AugmentConfig", "BackboneConfig", "DataConfig", "EvaluationConfig", "MethodConfig", "OptimConfig", "RunConfig",
    "TrainConfig", "check_choices", "check_device", "check_normalisation", "layout_setting", "positions_setting",
    "section_names", "setting",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images and labels, and how many of them."""

    dataset: str = setting("phantom", "The data set to train on.")
    root: str | None = setting(None, "Folder of the data set; data sets that the lab makes itself need none.")
    options: dict[str, Any] = setting({}, "Settings of this data set's reader.")
    fraction: float = setting(
        1.0, "Share of the training patients to learn from, above 0 to 1. Smaller sets lie inside larger ones."
    )
    fraction_seed: int = setting(0, "Which patients the fraction takes.")
    split_seed: int = setting(
        0, "Which patients go to train, val and test where the data set brings no split of its own."
    )
    patient_overlap: str = setting(
        "refuse", "What to do when a patient is in two splits: refuse, keep as it is, or split anew by patient.",
        choices=("refuse", "keep", "resplit"),
    )  # fmt: skip
    unreadable: str = setting(
        "refuse",
        "What to do with missing or damaged images: refuse to train, or leave them out.",
        choices=("refuse", "drop"),
    )
    cache_size: int = setting(256, "Short side in pixels at which decoded images are kept.")
    split: str = setting(
        "given", "Which images go to train, val and test: given (as the data set's reader says), patient (by patient "
        "at random), stratified (by patient, labels spread evenly), folds (cross-validation) or hold_out (test on "
        "other sites or later dates).",
        choices=("given", "patient", "stratified", "folds", "hold_out"),
    )  # fmt: skip
    folds: int = setting(5, "Folds of cross-validation, with data.split=folds.")
    fold: int = setting(1, "The fold that is tested, from 1; the next one is val and the others are train.")
    hold_out: str = setting(
        "", "What is tested with data.split=hold_out: site=NAME, several as site=A|B, or date>=2019-01-01; any column "
        "of the manifest works."
    )  # fmt: skip
    window: str = setting(
        "auto", "How the grey values of DICOM files become 8 bits: auto (the file's first window or table), 2 (its "
        "second window, and so on), percentiles (1 to 99) or full (smallest to largest value).",
        suggestions=("auto", "2", "percentiles", "full"),
    )  # fmt: skip
    frame: str = setting(
        "first", "Which picture of a DICOM file with several: first, middle, last, or its number from 1.",
        suggestions=("first", "middle", "last"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        require(2 <= self.folds <= 20, "data.folds", self.folds, "from 2 to 20")
        require(1 <= self.fold <= self.folds, "data.fold", self.fold, f"from 1 to data.folds, {self.folds}")
        check_reading(self.window, self.frame)
        require(0 < self.fraction <= 1, "data.fraction", self.fraction, "above 0 and at most 1")
        require(self.fraction_seed >= 0, "data.fraction_seed", self.fraction_seed, "0 or more")
        require(self.split_seed >= 0, "data.split_seed", self.split_seed, "0 or more")
        require(16 <= self.cache_size <= 4096, "data.cache_size", self.cache_size, "from 16 to 4096")
        check_choices("data", self)


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Which model, from which weights, at which size."""

    name: str = setting("resnet18", "A backbone of the list, or any timm name.")
    weights: str = setting(
        "random",
        "random, demo, pretrained (downloads once), a weights file, or shelf:NAME for one of the weights shelf.",
    )
    weights_sha256: str | None = setting(None, "SHA-256 of the base weights, once they are known.")
    image_size: int | None = setting(
        None, "Side of the square that the model sees, in pixels. None: the backbone's own."
    )
    pool: str | None = setting(
        None, "How tokens become one vector: token (class token) or avg (mean of patches). None: the backbone's own.",
        choices=("token", "avg"),
    )  # fmt: skip
    layout: str = layout_setting()
    positions: str = positions_setting()
    channels: int = setting(
        3,
        "Channels of the images that the model sees: 3, or 1 for grey ones. With 1 the kernels that read the image are "
        "summed over the colours, which takes less time in the first layer; the features are the same on grey images "
        "where mean and std are equal for all colours, else nearly so.",
    )
    drop_path: float = setting(0.0, "Stochastic depth rate of the last block, rising linearly from 0.")
    head_init_std: float = setting(0.02, "Standard deviation of the new head's weights (the papers' MAE recipe: 2e-5).")
    mean: tuple[float, float, float] | None = setting(
        None, "Pixel means for normalisation, 0 to 1. None: the weights' own."
    )
    std: tuple[float, float, float] | None = setting(None, "Pixel standard deviations. None: the weights' own.")

    def __post_init__(self) -> None:
        require(
            self.image_size is None or 16 <= self.image_size <= 2048,
            "backbone.image_size",
            self.image_size,
            "from 16 to 2048",
        )
        require(self.channels in (1, 3), "backbone.channels", self.channels, "3 or 1")
        require(0 <= self.drop_path < 1, "backbone.drop_path", self.drop_path, "0 or more and below 1")
        require(self.head_init_std > 0, "backbone.head_init_std", self.head_init_std, "above 0")
        check_normalisation("backbone", self.mean, self.std)
        check_choices("backbone", self)


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """Which parameters are trained, and how."""

    name: str = setting("lora", "The fine-tuning method.")
    knobs: dict[str, Any] = setting({}, "The method's own settings.")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How the weights are updated."""

    optimizer: str = setting("adamw", "The optimizer.", choices=("adamw", "sgd"))
    lr: float | None = setting(None, "Peak learning rate, reached after warm-up. None: the method's default.")
    min_lr: float = setting(0.0, "Learning rate at the end of the cosine.")
    warmup_epochs: float = setting(
        1.0, "Epochs of linear warm-up from 0 to the peak; at most a fifth of the run is used."
    )
    weight_decay: float = setting(0.05, "Weight decay on tensors with more than one dimension.")
    momentum: float = setting(0.9, "Momentum of SGD.")
    beta1: float = setting(0.9, "First beta of AdamW.")
    beta2: float = setting(0.999, "Second beta of AdamW.")
    layer_decay: float = setting(1.0, "Factor on the learning rate for each block further from the head; 1 is off.")
    clip_norm: float = setting(1.0, "Gradients are scaled down to this norm; 0 is off.")
    class_weights: str = setting("none", "Weigh classes by how rare they are.", choices=("none", "balanced"))

    def __post_init__(self) -> None:
        require(self.lr is None or self.lr > 0, "optim.lr", self.lr, "above 0")
        for name in ("min_lr", "warmup_epochs", "weight_decay", "clip_norm"):
            require(getattr(self, name) >= 0, f"optim.{name}", getattr(self, name), "0 or more")
        for name in ("momentum", "beta1", "beta2"):
            require(0 <= getattr(self, name) < 1, f"optim.{name}", getattr(self, name), "0 or more and below 1")
        require(0 < self.layer_decay <= 1, "optim.layer_decay", self.layer_decay, "above 0 and at most 1")
        check_choices("optim", self)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long, how large, where, and from which seed."""

    epochs: int = setting(10, "Passes over the training images.")
    batch_size: int = setting(32, "Images in one forward pass.")
    accumulation: int = setting(1, "Forward passes before each update; batch_size times this is the effective batch.")
    seed: int = setting(0, "Seed of random weights, head, adapters, order, augmentation and dropout.")
    device: str = setting("auto", "auto, cpu, cuda:0 (or another number), or mps.")
    precision: str = setting("auto", "Number format of the forward pass.", choices=("auto", "fp32", "bf16", "fp16"))
    cpu_threads: int = setting(
        0,
        "Threads on a CPU; 0: all. With a fixed number a run gives the same figures however many cores there are, and "
        "runs that are queued together share the cores.",
    )
    eval_every: int = setting(0, "Optimizer steps between two evaluations on val; 0: after every epoch.")
    patience: int = setting(0, "Stop after this many evaluations without a better val AUROC; 0 is off.")
    compile: bool = setting(False, "Compile the model (torch.compile): slow start, then faster steps on a GPU.")
    cached_features: bool = setting(
        False,
        "Linear probing only: compute the frozen backbone's features of each image once, keep them on disk, and train "
        "the head on them, which takes a fraction of the time. Images are not varied then: augmentation, stochastic "
        "depth, compile and number formats but fp32 are turned off.",
    )
    checkpoint_every_s: float = setting(300.0, "Seconds between two checkpoints inside a long epoch.")

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulation"):
            require(getattr(self, name) >= 1, f"train.{name}", getattr(self, name), "1 or more")
        for name in ("eval_every", "patience"):
            require(getattr(self, name) >= 0, f"train.{name}", getattr(self, name), "0 or more")
        require(0 <= self.cpu_threads <= 256, "train.cpu_threads", self.cpu_threads, "from 0 to 256")
        require(0 <= self.seed < 2**31, "train.seed", self.seed, "from 0 to 2147483647")
        require(self.checkpoint_every_s > 0, "train.checkpoint_every_s", self.checkpoint_every_s, "above 0")
        check_device(self.device)
        check_choices("train", self)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How training images are varied; val and test images never are."""

    crop_scale_min: float = setting(
        0.6, "Smallest share of the image's area that a random crop keeps; 1 turns crops off."
    )
    crop_ratio_max: float = setting(1.15, "Largest aspect ratio of a crop; the smallest is one over it.")
    flip: float = setting(0.5, "Probability of a left-right flip (the heart then lies on the right, as in the papers).")
    rotation_deg: float = setting(7.0, "Largest rotation to either side, in degrees.")
    brightness: float = setting(0.1, "Largest change of brightness, as a share of the full range.")
    contrast: float = setting(0.2, "Largest relative change of contrast.")
    erasing: float = setting(0.0, "Probability that a random rectangle is filled with noise.")
    rand_augment: int = setting(0, "Operations of RandAugment (magnitude 9) on each image; 0 is off.")
    interpolation: str = setting("bilinear", "How pixels are resampled.", choices=("bilinear", "bicubic"))

    def __post_init__(self) -> None:
        require(0 < self.crop_scale_min <= 1, "augment.crop_scale_min", self.crop_scale_min, "above 0 and at most 1")
        require(self.crop_ratio_max >= 1, "augment.crop_ratio_max", self.crop_ratio_max, "1 or more")
        for name in ("flip", "erasing"):
            require(0 <= getattr(self, name) <= 1, f"augment.{name}", getattr(self, name), "from 0 to 1")
        require(0 <= self.rotation_deg <= 180, "augment.rotation_deg", self.rotation_deg, "from 0 to 180")
        for name in ("brightness", "contrast"):
            require(0 <= getattr(self, name) < 1, f"augment.{name}", getattr(self, name), "0 or more and below 1")
        require(0 <= self.rand_augment <= 10, "augment.rand_augment", self.rand_augment, "from 0 to 10")
        check_choices("augment", self)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How the finished run is measured."""

    bootstrap_samples: int = setting(1000, "Resamplings of the patients for each interval.")
    confidence: float = setting(0.95, "Confidence level of the intervals.")
    max_val_images: int = setting(
        4096, "With train.eval_every: at most this many val images, a fixed, seeded subset, in each evaluation."
    )
    batch_size: int = setting(64, "Images in one forward pass of an evaluation.")

    def __post_init__(self) -> None:
        require(self.bootstrap_samples >= 100, "evaluation.bootstrap_samples", self.bootstrap_samples, "100 or more")
        require(0.5 <= self.confidence < 1, "evaluation.confidence", self.confidence, "from 0.5 to below 1")
        require(self.max_val_images >= 16, "evaluation.max_val_images", self.max_val_images, "16 or more")
        require(self.batch_size >= 1, "evaluation.batch_size", self.batch_size, "1 or more")


@dataclass(frozen=True, kw_only=True)
class RunConfig(SectionedConfig):
    """The whole of a run's settings."""

    data: DataConfig = field(default_factory=DataConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)


section_names = RunConfig.sections
