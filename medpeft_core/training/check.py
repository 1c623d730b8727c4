"""Everything about a run that only the model can tell, checked before anything is launched or written."""

from dataclasses import dataclass, replace

import numpy as np

from medpeft_core.backbones.build import get_base_state
from medpeft_core.backbones.weights import compute_base_sha256, store_base
from medpeft_core.config import RunConfig
from medpeft_core.datasets.fractions import count_positives, fraction_warnings
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.errors import DataError
from medpeft_core.paths import weights_dir
from medpeft_core.resolve import resolve_config
from medpeft_core.training.build import apply_method, build_bare_backbone, check_cacheable
from medpeft_core.training.data import split_data
from medpeft_core.training.device import resolve_device, resolve_precision

MIN_TRAIN_IMAGES = 2  # BatchNorm cannot normalise a single one


@dataclass(frozen=True, kw_only=True)
class CheckedRun:
    """A run that can start.

    Attributes:
        config: complete; its base weights are stored in the lab.
        num_params, num_trainable_params: counted on the built model.
        num_train_images, num_train_patients: in the label fraction.
        positives: by label, (positive, negative, unknown) images in the label fraction.
        warnings: sentences that people should read before they wait for the run.
    """

    config: RunConfig
    num_params: int
    num_trainable_params: int
    num_train_images: int
    num_train_patients: int | None
    positives: dict[str, tuple[int, int, int]]
    warnings: list[str]


def check_run(config: RunConfig, prepared: PreparedData) -> CheckedRun:
    """Resolve what is open, build the model once, and store its base weights.

    Raises:
        MedPeftError: a field, the data, the backbone, the method or the device does not allow this run; nothing was
            written.
    """
    config = resolve_config(config)
    device = resolve_device(config.train.device)
    precision = resolve_precision(config.train.precision, device)
    labels = prepared.manifest.labels
    train = split_data(prepared, config.data)["train"]
    counts = count_positives(train.manifest, np.arange(len(train)))
    if len(train) < MIN_TRAIN_IMAGES:
        raise DataError(
            f"The training set has {len(train)} image at a fraction of {config.data.fraction:g}, but at least "
            f"{MIN_TRAIN_IMAGES} are needed. Use a larger --fraction."
        )
    backbone = build_bare_backbone(config, num_classes=len(labels))
    base_state = get_base_state(backbone)
    built = apply_method(backbone, config)
    if config.train.cached_features:
        check_cacheable(built)
    if config.backbone.weights == "pretrained":
        sha256 = compute_base_sha256(base_state)
    else:
        sha256 = store_base(base_state, weights_dir())
    complete = replace(
        config,
        backbone=replace(
            config.backbone,
            weights_sha256=sha256,
            image_size=backbone.image_size,
            pool=backbone.pool,
            mean=config.backbone.mean or backbone.mean,
            std=config.backbone.std or backbone.std,
        ),
        train=replace(config.train, device=device, precision=precision),
    )
    return CheckedRun(
        config=complete,
        num_params=built.adapted.num_params(),
        num_trainable_params=built.adapted.num_trainable_params(),
        num_train_images=len(train),
        num_train_patients=len(set(train.manifest.patient_ids)) if train.manifest.has_patients else None,
        positives={
            str(label): (int(row["num_positive"]), int(row["num_negative"]), len(train) - int(row["num_images"]))
            for label, row in counts.iterrows()
        },
        warnings=fraction_warnings(counts),
    )
