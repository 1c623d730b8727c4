"""Lian et al. 2024: LoRA on chest X-ray foundation models, the recommended settings for each data set and share."""

from dataclasses import dataclass
from typing import Any

from medpeft_core.paper_cells.spec import CELLS, CODE, PAPER, Count, PaperCell

REFERENCE = "Lian et al. 2024, arXiv:2401.12215"
BACKBONE, WIDTH, DEPTH = "vit_base_patch16_224", 768, 12
NUM_PARAMS = 85_798_656  # without head
BATCH_SIZE, LR_BATCH_SIZE = 64, 256  # base learning rates are for 256 images
SHARES = {"1": 0.01, "10": 0.1, "100": 1.0}  # per cent of the training set -> data.fraction
NUM_LABELS = {"nih": 14, "chexpert": 5, "rsna": 1}
TITLES = {"nih": "NIH", "chexpert": "CheXpert", "rsna": "RSNA"}
PRINTED = {"1": "0.3 %", "10": "", "100": "1.5 %"}  # share of trained parameters under LoRA


@dataclass(frozen=True, kw_only=True)
class _Weights:
    """One of the two pre-trained models, with the recipe that goes with it.

    Attributes:
        rows: data set to (epochs, learning rate, rank) for 1, 10 and 100 %.
        full: epochs and learning rate of full fine-tuning on 1 % of NIH.
        lr_scale: from the learning rates of the tables to those of the optimizer.
        mean, std: pixel constants, one number for all channels.
    """

    title: str
    optim: dict[str, Any]
    augment: dict[str, Any]
    rows: dict[str, tuple[tuple[int, float, int], ...]]
    full: tuple[int, float]
    lr_scale: float
    mean: float
    std: float
    open_points: tuple[str, ...]
    differences: tuple[str, ...]


_CROPS = {
    "crop_scale_min": 0.08,
    "crop_ratio_max": 4 / 3,
    "flip": 0.5,
    "rotation_deg": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "interpolation": "bicubic",
}
_SCHEDULE = {"warmup_epochs": 5.0, "min_lr": 1e-6, "clip_norm": 0.0, "class_weights": "none"}
WEIGHTS = {
    "mae": _Weights(
        title="CXR-MAE",
        optim={**_SCHEDULE, "optimizer": "adamw", "weight_decay": 0.05, "layer_decay": 0.65},
        augment={**_CROPS, "rand_augment": 2, "erasing": 0.25},
        rows={
            "nih": ((400, 3e-3, 4), (200, 1e-3, 8), (100, 3e-3, 32)),
            "chexpert": ((400, 3e-3, 4), (100, 5e-3, 8), (100, 3e-3, 32)),
            "rsna": ((100, 3e-3, 4), (100, 5e-3, 8), (100, 5e-3, 32)),
        },
        full=(400, 5e-4),
        lr_scale=BATCH_SIZE / LR_BATCH_SIZE,
        mean=0.4785,
        std=0.2834,
        open_points=("The code of CXR-MAE's pre-training is not released.",),
        differences=(
            "Val and test images are the whole centre square; the authors' code cuts off an eighth of it (256 to 224 "
            "pixels).",
            "RandAugment has the magnitude 9 throughout; in the authors' code it varies around 9.",
        ),
    ),
    "mrm": _Weights(
        title="MRM",
        optim={**_SCHEDULE, "optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.0, "layer_decay": 1.0},
        augment={**_CROPS, "rand_augment": 0, "erasing": 0.0},
        rows={
            "nih": ((100, 0.05, 4), (100, 0.05, 8), (100, 0.2, 32)),
            "chexpert": ((100, 0.02, 4), (100, 0.05, 16), (100, 0.01, 32)),
            "rsna": ((100, 0.01, 4), (100, 0.01, 32), (100, 0.01, 32)),
        },
        full=(200, 0.01),
        lr_scale=1.0,
        mean=0.4978,
        std=0.2449,
        open_points=(),
        differences=(),
    ),
}

OPEN = ("How many runs stand behind each figure is not stated; the code has the seed 0.",)
DIFFERENCES = (
    "The share is one of patients; the authors' lists hold a share of the images.",
    "Crops are taken from images kept at data.cache_size pixels; the authors crop the full ones. Raise it to come "
    "closer.",
    "The number format is the device's best (train.precision), not always fp16; the last, smaller batch of an epoch is "
    "used, not dropped.",
)
LORA_DIFFERENCES = ("The inputs of q and v get a dropout mask each; in the authors' code they share one.",)


def _tell_weights(title: str) -> str:
    return (
        f"The weights stay as you choose them: the paper's are the authors' {title} model, pre-trained on MIMIC-CXR, "
        "which the lab does not hold. Give its file by --weights; with others these settings are not the paper's cell."
    )


def _add(weights: str, dataset: str, share: str, *, epochs: int, lr: float, rank: int | None) -> None:
    """A cell; rank None is full fine-tuning."""
    model, method = WEIGHTS[weights], "full" if rank is None else "lora"
    knobs: dict[str, Any] = {} if rank is None else {"rank": rank, "alpha": 32.0, "dropout": 0.1, "targets": "q,v"}
    title = f"{'Full fine-tuning' if rank is None else 'LoRA'}, {TITLES[dataset]}, {share} %"
    pixels = (model.mean,) * 3, (model.std,) * 3
    settings: dict[str, dict[str, Any]] = {
        "data": {"fraction": SHARES[share]},
        "backbone": {"image_size": 224, "pool": "avg", "drop_path": 0.1, "head_init_std": 2e-5},
        "method": {"name": method, **({"knobs": knobs} if knobs else {})},
        "optim": {**model.optim, "lr": lr * model.lr_scale},
        "train": {"epochs": epochs, "batch_size": BATCH_SIZE, "accumulation": 1, "eval_every": 0, "patience": 0},
        "augment": dict(model.augment),
    }
    own_settings: dict[str, dict[str, Any]] = {"backbone": {"mean": pixels[0], "std": pixels[1]}}
    marks = {
        f"{section}.{name}": CODE
        for table in (settings, own_settings)
        for section, fields in table.items()
        for name in ({"name": method, **knobs} if section == "method" else fields)
    }
    count = Count(
        backbone=BACKBONE,
        printed="" if rank is None else PRINTED[share],
        counted=_count(rank, NUM_LABELS[dataset]),
        num_classes=NUM_LABELS[dataset],
        is_confirmed=False,
    )
    CELLS.add(
        PaperCell(
            name=f"lian2024_{method}_{weights}_{dataset}_{share}",
            title=title,
            group=f"Lian 2024, {model.title}",
            paper=REFERENCE,
            column=f"Recommended settings for {model.title}: {title}",
            kind="vit",
            backbones=(BACKBONE,),
            settings=settings,
            own_settings=own_settings,
            marks={**marks, "data.fraction": PAPER, "method.name": PAPER},
            counts=(count,),
            open_points=(
                _tell_weights(model.title),
                *([_tell_count(count, rank)] if count.printed and rank is not None else []),
                *model.open_points,
                *OPEN,
            ),
            differences=(*(LORA_DIFFERENCES if rank is not None else ()), *model.differences, *DIFFERENCES),
        )
    )


def _count(rank: int | None, num_labels: int) -> int:
    """Trained parameters: head and `fc_norm` with either all else, or with LoRA on q and v of every block."""
    head = (WIDTH + 1) * num_labels
    return NUM_PARAMS + head if rank is None else _count_lora(rank) + 2 * WIDTH + head


def _count_lora(rank: int) -> int:
    return DEPTH * 2 * 2 * WIDTH * rank


def _tell_count(count: Count, rank: int) -> str:
    share = count.counted / (_count(None, count.num_classes) + _count_lora(rank))
    labels = f"{count.num_classes} label{'s' if count.num_classes > 1 else ''}"
    return f"Rank {rank}, as in its code, trains {100 * share:.2f} % with {labels}."


for _weights, _model in WEIGHTS.items():
    for _dataset, _rows in _model.rows.items():
        for _share, (_epochs, _lr, _rank) in zip(SHARES, _rows, strict=True):
            _add(_weights, _dataset, _share, epochs=_epochs, lr=_lr, rank=_rank)
    _add(_weights, "nih", "1", epochs=_model.full[0], lr=_model.full[1], rank=None)
